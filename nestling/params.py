"""Parameters: one frozen pydantic class a stage, filled from its section of params.yaml and from nothing else."""

import difflib
import json
from pathlib import Path
from typing import Any, ClassVar, Self, Unpack

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from nestling.errors import UserError

SECTIONS = (
    "shared",
    "prepare",
    "base",
    "generate",
    "filter",
    "mine",
    "select",
    "review",
    "curate",
    "balance",
    "train",
    "evaluate",
    "report",
)
# YAMLError tells of syntax alone; a value of an explicit type, an impossible date or `!!int ""`, raises what its
# constructor does
_YAML_ERRORS = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
SHARED = ("set", "seed", "languages", "current", "people", "encode")  # every key of the section `shared`


class Strict(BaseModel):
    """A frozen group of parameters: no extra key, no silent cast, no default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        if hidden := [name for name, field in cls.model_fields.items() if not field.is_required()]:
            raise TypeError(f"{cls.__name__}: defaults of {hidden} belong in params.yaml, where DVC sees them")


class StageParams(Strict):
    """Base of every stage's parameters; the YAML section and the fields must match exactly."""

    section: ClassVar[str]
    shared: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, *, section: str, shared: tuple[str, ...] = (), **config: Unpack[ConfigDict]) -> None:
        super().__init_subclass__(**config)
        cls.section, cls.shared = section, shared

    @classmethod
    def load(cls, path: Path = Path("params.yaml")) -> Self:
        """Read this stage's section and the shared keys it names.

        Raises:
            UserError: the file, a section or a key is missing, misspelt or of the wrong type.
        """
        tree = read_params(path)
        for section in ("shared", cls.section):
            if not isinstance(tree.get(section), dict):
                raise UserError(f"{path}: the section `{section}` is missing or is not a mapping")
        if strange := sorted(str(name) for name in tree if name not in (*SECTIONS, cls.section)):
            raise UserError(f"{path}: {strange[0]} is not a section{_nearest(strange[0], SECTIONS)}")
        if unknown := sorted(str(key) for key in tree["shared"] if key not in SHARED):
            raise UserError(f"{path}: shared.{unknown[0]} is not a parameter{_nearest(unknown[0], SHARED)}")
        if missing := [key for key in cls.shared if key not in tree["shared"]]:
            raise UserError(f"{path}: shared.{missing[0]} is missing")
        if doubled := [key for key in cls.shared if key in tree[cls.section]]:
            raise UserError(f"{path}: {cls.section}.{doubled[0]} is not a parameter: it stands in `shared`")
        try:
            # through JSON: strict there still takes a list for a tuple and a mapping for a model
            given = {key: tree["shared"][key] for key in cls.shared} | tree[cls.section]
            return cls.model_validate_json(json.dumps(given, default=str))
        except ValidationError as error:
            told = (_sentence(cls, problem, given) for problem in error.errors())
            raise UserError(f"{path}: " + "; ".join(told)) from None


def read_params(path: Path) -> dict[str, Any]:
    """Return the whole tree of params.yaml.

    Raises:
        UserError: there is no such file, or it is not YAML.
    """
    try:
        tree = read_yaml(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the root of the project") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} is not a mapping of sections")
    return tree


def with_param(path: Path, name: str, value: str) -> str:
    """Return the text of params.yaml with one value changed and every other byte as it is.

    Args:
        path: of the file.
        name: of the parameter, dotted; it must be there.
        value: the new one.

    Raises:
        UserError: the file cannot be read, or has no plain value there.
    """
    read_params(path)
    text = path.read_bytes().decode("utf-8")  # read_text would turn CRLF into LF
    node = yaml.compose(text)
    for key in name.split("."):
        inside = node.value if isinstance(node, yaml.MappingNode) else []
        node = {one.value: other for one, other in inside}.get(key)
    # an anchor or an alias shares its value with other parameters
    if not isinstance(node, yaml.ScalarNode) or text[node.start_mark.index] in "&!":
        raise UserError(f"{path} has no plain value at {name}: set {name} by hand")
    start, end = node.start_mark.index, node.end_mark.index
    shown = value if _is_plain(value) else json.dumps(value)
    return f"{text[:start]}{'' if text[start - 1].isspace() else ' '}{shown}{text[end:]}"


def _is_plain(value: str) -> bool:
    """Tell whether a text needs no quotes in YAML, as `no`, `123` and `2024-02-30` do."""
    try:
        return bool(parse_yaml(value) == value)
    except ValueError:
        return False


def read_yaml(path: Path) -> Any:
    """Return what a YAML file that a person wrote holds.

    Raises:
        UserError: it is not valid YAML in UTF-8.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None


def parse_yaml(text: str, loader: type[yaml.SafeLoader | yaml.BaseLoader] = yaml.SafeLoader) -> Any:
    """Return what a YAML text holds.

    Args:
        text: one YAML document.
        loader: yaml.BaseLoader leaves every scalar a text.

    Raises:
        ValueError: it is not valid YAML, has a value that its type does not allow (2024-02-30), or is nested too deep.
    """
    try:
        return yaml.load(text, loader)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except _YAML_ERRORS as error:
        raise ValueError(" ".join(str(error).split())) from None


def at(tree: Any, path: str, otherwise: Any = "") -> Any:
    """Return what stands at a dotted path of a tree, `otherwise` where nothing of its type does."""
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, type(otherwise)) else otherwise


def _nearest(name: str, names: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(names))}"


def _steps(loc: tuple[str | int, ...], tree: Any) -> list[str]:
    """Return the way to a parameter without the tags of unions, which pydantic puts between and no file holds."""
    steps = []
    for step in loc:
        if isinstance(tree, dict) and step not in tree and step == tree.get("kind"):
            continue
        steps.append(str(step))
        inside = tree[step] if isinstance(tree, dict) and step in tree else None
        tree = tree[step] if isinstance(tree, list) and isinstance(step, int) and step < len(tree) else inside
    return steps


def _sentence(cls: type[StageParams], problem: Any, tree: dict[str, Any]) -> str:
    steps = _steps(problem["loc"], tree)
    owner = "shared" if steps and steps[0] in cls.shared else cls.section
    name = ".".join([owner, *steps])
    if problem["type"] == "extra_forbidden":
        known = list(cls.model_fields) if len(steps) == 1 else []
        return f"{name} is not a parameter" + (_nearest(steps[-1], known) if known else "")
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] == "value_error":
        return f"{name}: {problem['ctx']['error']}"
    if problem["type"] == "union_tag_invalid":
        return f"{name}.kind is {problem['ctx']['tag']!r}: there are {problem['ctx']['expected_tags']}"
    if problem["type"] == "union_tag_not_found":
        return f"{name}.kind is missing"
    given = problem["input"]
    hint = (
        " (write 2.0e-5, with point and sign: YAML reads 2e-5 and 2.0e5 as text)"
        if isinstance(given, str) and "e" in given.lower() and _is_number(given)
        else ""
    )
    return f"{name} is {given!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}{hint}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
