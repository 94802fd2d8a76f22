"""Rows of JSON lines, one at a time; a broken row costs that row and no more.

What a row means (document, query, pair) is not known here.
"""

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from nestling.corpus.encodings import HEAD, UTF_8, encoding_by_head
from nestling.corpus.rejects import Reject
from nestling.corpus.values import Clash

MAX_ROW = 16_000_000  # bytes of one row of queries, judgements or pairs: those are short by nature

_START = 1_000_000  # bytes that tell the line ends of JSON lines
_GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


class Row(NamedTuple):
    """The named values of one row, and where it stands (file:line)."""

    place: str
    values: dict[str, object]


def read_jsonl(path: Path, name: str, max_bytes: int) -> Iterator[Row | Reject]:
    """Yield the object on each line of a JSON lines file, gzip or plain; blank lines say nothing.

    Keys are compared as the columns of other files are: without capitals and outer blanks.

    Args:
        path: the file.
        name: what it is called in places and rejects.
        max_bytes: a longer line is thrown away unread.
    """
    for number, line in enumerate(_lines(path, max_bytes), 1):
        place = f"{name}:{number}"
        if isinstance(line, Reject):
            whole = line._replace(item_id=name)
            cut = whole._replace(reason="damaged", detail=f"{line.detail}; the {number - 1} lines before are taken")
            yield line._replace(item_id=place) if line.item == "line" else cut if number > 1 else whole
        elif line.strip().removeprefix(codecs.BOM_UTF8):
            yield _parse(line, place)


def _parse(line: bytes, place: str) -> Row | Reject:
    shown = line.decode("utf-8", "replace")
    try:
        values = json.loads(line.decode("utf-8-sig"))  # the mark of UTF-8 stands within files that were joined
        if b"\\ud" in line.lower():  # half a surrogate pair is valid JSON and no valid text
            json.dumps(values, ensure_ascii=False).encode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        return Reject("line", place, "invalid_utf8", error.reason, shown)
    except (ValueError, RecursionError) as error:
        return Reject("line", place, "broken_json", str(error), shown)
    if not isinstance(values, dict):
        return Reject("line", place, "not_an_object", f"a JSON {type(values).__name__}", shown)
    return Row(place, _folded(values))


def _folded(values: dict[str, object]) -> dict[str, object]:
    """Return the values by keys without capitals and outer blanks."""
    found: dict[str, tuple[str, object]] = {}
    for key, value in values.items():
        name = key.strip().casefold()
        first, other = found.get(name, (key, None))
        clash = other not in (None, "", value) and value not in (None, "")
        found[name] = first, Clash((first, key)) if clash else other if value in (None, "") else value
    return {name: value for name, (_, value) in found.items()}


def _lines(path: Path, max_bytes: int) -> Iterator[bytes | Reject]:
    """Yield the lines, a reject in the place of one that is too long, and at last one for a damaged gzip file."""
    try:
        with _opened(path) as stream:
            read_line = _reader(stream, _start(path))
            while line := read_line(max_bytes + 1):
                if len(line) > max_bytes and not line.endswith(b"\n"):
                    _skip_line(read_line)
                    shown = line[:1000].decode("utf-8", "replace")
                    yield Reject("line", "", "too_large", f"longer than {max_bytes} bytes", shown)
                else:
                    yield line
    except _GZIP_ERRORS as error:
        yield Reject("file", "", "unreadable", f"broken gzip: {error}")


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _reader(stream: BinaryIO | gzip.GzipFile, start: bytes) -> Callable[[int], bytes]:
    """Return what reads a line of no more than so many bytes: in UTF-8, be the file in UTF-16 or UTF-32."""
    wide = encoding_by_head(start[:HEAD]) or UTF_8
    old = b"\r" in start and b"\n" not in start  # line ends of old Macs
    if wide == UTF_8 and not old:
        return stream.readline
    errors = "surrogateescape" if wide == UTF_8 else "replace"
    text = io.TextIOWrapper(cast("BinaryIO", stream), wide, errors, newline=None if old else "\n")
    return lambda size: text.readline(size).encode("utf-8", errors)


def _start(path: Path) -> bytes:
    """Return the first bytes of a file, up to a line feed or what can be read.

    A gzip stream that has failed once says nothing when it is read again, so this one is not used for the lines.
    """
    found = b""
    with suppress(*_GZIP_ERRORS), _opened(path) as stream:
        while len(found) < _START and b"\n" not in found and (piece := stream.read(HEAD)):
            found += piece
    return found


def _skip_line(read_line: Callable[[int], bytes]) -> None:
    while (piece := read_line(1_000_000)) and not piece.endswith(b"\n"):
        pass
