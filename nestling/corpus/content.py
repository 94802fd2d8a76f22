"""What a file of documents says."""

from typing import NamedTuple


class Content(NamedTuple):
    """What a file says; an empty title, language or licence means that it names none."""

    title: str
    text: str
    language: str = ""
    licence: str = ""


class UnreadableError(Exception):
    """A file is damaged; the message says how."""
