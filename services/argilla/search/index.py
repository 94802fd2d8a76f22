"""An index: documents in memory, taken apart once when they come, so that a search need only look."""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from services.argilla.search.mapping import Mapping, Parts

END = "\x00"  # between two values of a field: no phrase goes over it


@dataclass(frozen=True)
class Entry:
    """A document.

    Attributes:
        number: by which documents stand in the order in which they came; a changed one keeps its own.
        source: as it was handed in, to be changed in parts.
        texts: field to its words as they are searched.
    """

    id: str
    number: int
    source: dict[str, Any]
    parts: Parts
    texts: dict[str, str]


class Index:
    """Fields and documents by id."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self._entries: dict[str, Entry] = {}
        self._next = 0

    @property
    def entries(self) -> Collection[Entry]:
        return self._entries.values()

    def get(self, id_: str) -> Entry | None:
        return self._entries.get(id_)

    def put(self, id_: str, source: dict[str, Any]) -> None:
        """Add a document, or replace the one of this id where it stands."""
        parts = self.mapping.apart(source)
        texts = {
            name: searchable(END.join(values))
            for name, values in parts.flat.items()
            if self.mapping.kind(name) == "text"
        }
        old = self._entries.get(id_)
        self._entries[id_] = Entry(id_, old.number if old else self._next, source, parts, texts)
        self._next += 1

    def delete(self, id_: str) -> bool:
        """Take a document out; false where there is none."""
        return self._entries.pop(id_, None) is not None


def searchable(text: str) -> str:
    """Return text as it is compared: small letters, each accent in one piece with its letter."""
    return unicodedata.normalize("NFC", text.lower())
