"""What a file of documents says."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from xml.parsers.expat import ExpatError
from zipfile import BadZipFile

# what parsers raise at bytes that they did not expect; only their own errors beside these derive from Exception itself
_DAMAGE: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BadZipFile,
    EOFError,
    ExpatError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class Content(NamedTuple):
    """What a file says; an empty title, language or licence means that it names none."""

    title: str
    text: str
    language: str = ""
    licence: str = ""
    missing: str = "the file is empty"  # what there is instead, where title and text show nothing


class UnreadableError(Exception):
    """A file is damaged; the message says how."""


def whole_characters(text: str) -> str:
    """Return `text` with the halves of characters (surrogates) joined, as RTF and PDF write them, or replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@contextmanager
def parsing(what: str, *own: type[Exception]) -> Iterator[None]:
    """Make UnreadableError of whatever a parser raises at a damaged file.

    Read the file before, so that an error of the operating system stays what it is.

    Args:
        what: of which format the file is not.
        own: errors that the parser declares itself.

    Raises:
        UnreadableError: the parser failed.
    """
    try:
        yield
    except _DAMAGE + own as error:
        raise UnreadableError(f"no {what}: {type(error).__name__}: {error}") from None
