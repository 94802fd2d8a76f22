"""The fields of an index: which there are, of which type, and how a document is taken apart into them.

As in OpenSearch, a field that no mapping names is refused where the object is strict and left out where it is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.argilla.search.refusal import RefusedError, listed, members, text, whole
from services.argilla.search.values import READERS, read, unit

Flat = dict[str, list[Any]]  # field to its values, of all levels

_OBJECTS = ("object", "nested")
_SPEC = ("type", "properties", "dynamic", "enabled", "include_in_root", "dimension", "method")


@dataclass(frozen=True)
class Field:
    """A field; `enabled` is false where nothing is to be searched, `dims` is of a vector."""

    kind: str
    enabled: bool = True
    dims: int = 0


@dataclass
class Parts:
    """A document taken apart; what is in nested objects is in `flat` too."""

    flat: Flat = field(default_factory=dict)
    nested: dict[str, list[Flat]] = field(default_factory=dict)
    vectors: dict[str, Sequence[float]] = field(default_factory=dict)


class Mapping:
    """The fields of one index."""

    def __init__(self, tree: Any) -> None:
        body = members(tree, "mappings", ("dynamic", "properties", "_source"))
        if body.get("dynamic") != "strict":
            raise RefusedError("mappings: dynamic must be strict")
        self.fields: dict[str, Field] = {}
        self._parents: set[str] = set()
        self._strict = {"": True}
        self.add(body.get("properties", {}))

    def kind(self, name: str) -> str | None:
        """Return the type of a field that can be searched, None where there is none."""
        found = self.fields.get(name)
        return found.kind if found and found.enabled else None

    def add(self, properties: Any, prefix: str = "") -> None:
        """Add fields; those that are there keep their type."""
        if not isinstance(properties, dict):
            raise RefusedError("properties must be an object")
        for name, spec in properties.items():
            path = prefix + name
            new = _field(members(spec, f"[{path}]", _SPEC), path)
            if self.fields.setdefault(path, new) != new:
                raise RefusedError(f"mapper [{path}] cannot be changed", "illegal_argument_exception")
            steps = path.split(".")
            self._parents.update(".".join(steps[:end]) for end in range(1, len(steps)))
            if "dynamic" in spec:
                self._strict[path] = spec["dynamic"] == "strict"
            self.add(spec.get("properties", {}), path + ".")

    def apart(self, document: Any) -> Parts:
        """Take a document apart.

        Raises:
            RefusedError: it does not fit the fields.
        """
        parts = Parts()
        self._walk(document, "", [parts.flat], parts)
        return parts

    def _walk(self, tree: Any, path: str, sinks: list[Flat], parts: Parts) -> None:
        if not isinstance(tree, dict):
            raise RefusedError(f"[{path}] must hold an object", "mapper_parsing_exception")
        for name, value in tree.items():
            here = f"{path}.{name}" if path else name
            known = self.fields.get(here) or (Field("object") if here in self._parents else None)
            if known is None:
                self._unknown(here, path)
            elif known.enabled and value is not None:
                self._take(here, known, value, sinks, parts)

    def _take(self, here: str, known: Field, value: Any, sinks: list[Flat], parts: Parts) -> None:
        if known.kind == "knn_vector":
            parts.vectors[here] = unit(value, known.dims, here)
        elif known.kind in _OBJECTS:
            for item in listed(value):
                inner: list[Flat] = [{}] if known.kind == "nested" else []
                self._walk(item, here, sinks + inner, parts)
                parts.nested.setdefault(here, []).extend(inner)
        else:
            values = [read(item, known.kind, here) for item in listed(value) if item is not None]
            for sink in sinks:
                sink.setdefault(here, []).extend(values)

    def _unknown(self, here: str, path: str) -> None:
        while path not in self._strict:
            path = path.rpartition(".")[0]
        if self._strict[path]:
            reason = f"mapping set to strict, dynamic introduction of [{here}] is not allowed"
            raise RefusedError(reason, "strict_dynamic_mapping_exception")


def _field(spec: dict[str, Any], path: str) -> Field:
    kind = spec.get("type", "object" if "properties" in spec else None)
    if kind == "knn_vector":
        if not isinstance(spec.get("method"), dict) or text(spec["method"], "space_type", path) != "cosinesimil":
            raise RefusedError(f"[{path}]: only vectors compared by cosinesimil")
        return Field(kind, dims=whole(spec.get("dimension"), f"[{path}].dimension"))
    if kind not in (*READERS, *_OBJECTS):
        raise RefusedError(f"[{path}]: unknown type {kind!r}")
    return Field(kind, enabled=spec.get("enabled", True) is not False)
