"""What a value in a row of a foreign file may be taken for: a text, an id, a number, or nothing."""

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import NamedTuple

from nestling.corpus.cleaning import clean

_LARGEST = 2**53  # from here on a float does not tell one whole number from the next
_INVISIBLE = "\ufeff\u200b"  # what Unicode does not count among the blanks
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(([.,'’ \u00a0\u202f])\d{3})(\2\d{3})*(?!\2)[.,]\d*", re.ASCII)  # 1.234,5
_ESCAPED = re.compile(r"&#?\w+;?|\x1b\[[\d;]*[A-Za-z]?", re.ASCII)  # what cleaning may make nothing of
_SURE = re.compile("[0-9A-Za-z]")  # no cleaning takes these away
_BEGINNING = 1000  # characters of a text that mostly show that it says something


class UnusableError(Exception):
    """A value cannot be what it should be; the message says why."""


class Clash(NamedTuple):
    """Two values in the place of one: `keys` differ in capitals or blanks alone."""

    keys: tuple[str, str]


def text_of(values: Mapping[str, object], *names: str) -> str:
    """Return the value under these names that is a text with something to see in it, or an empty text.

    Raises:
        UnusableError: there are two.
    """
    given = {name: values.get(name) for name in names}
    if clashes := [value for value in given.values() if isinstance(value, Clash)]:
        raise UnusableError(_unusable("", clashes[0]))
    return _the_one({name: value for name, value in given.items() if isinstance(value, str) and not is_blank(value)})


def id_of(values: Mapping[str, object], *names: str) -> str:
    """Return the value under these names as an id, or an empty text where there is none.

    Raises:
        UnusableError: what is there is neither text nor number nor date, or there are two ids.
    """
    given = {name: as_text(values.get(name)) for name in names}
    if found := _the_one({name: identity(text) for name, text in given.items() if text and identity(text)}):
        return found
    if unusable := [name for name, text in given.items() if text is None]:
        raise UnusableError(_unusable(unusable[0], values[unusable[0]]))
    return ""


def title_of(values: Mapping[str, object], name: str) -> str:
    """Return a title, which may be a number (a year) or a date.

    Raises:
        UnusableError: there are two.
    """
    value = values.get(name)
    return text_of(values, name) if isinstance(value, (str, Clash)) else as_text(value) or ""


def as_text(value: object) -> str | None:
    """Return a text, a number at its shortest, a date in ISO's form; empty where nothing is given, None for the rest.

    A whole number that a program made a float of, for one of its column was missing, is a whole number still.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (float, Decimal)) and math.isfinite(value):
        whole = value == int(value) and -_LARGEST < value < _LARGEST
        return str(int(value)) if whole else repr(float(value))
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _the_one(found: Mapping[str, str]) -> str:
    if len(set(found.values())) > 1:
        (one, first), (other, second), *_ = found.items()
        raise UnusableError(f"{one} and {other} name one thing and differ: {first[:50]!r} and {second[:50]!r}")
    return next(iter(found.values()), "")


def _unusable(name: str, value: object) -> str:
    if isinstance(value, Clash):
        return f"{value.keys[0]!r} and {value.keys[1]!r} are one key and differ"
    return f"{name} is of type {type(value).__name__}"


def identity(text: str) -> str:
    """Return an id or a name as it is compared: composed (NFC), without blanks at its ends."""
    return _bare(unicodedata.normalize("NFC", text))


def number_of(text: str) -> float | None:
    """Return the number that a text is, or None; its decimals may follow a comma, its thousands stand apart.

    One comma alone is a decimal comma, never one of thousands: scores and grades are small.
    """
    plain = _bare(text)
    if grouped := _GROUPED.fullmatch(plain):
        plain = plain.replace(grouped[2], "")
    plain = plain.replace(",", ".")
    return float(plain) if _NUMBER.fullmatch(plain) else None


def is_blank(text: str) -> bool:
    """Tell whether nothing is left of `text` once it is cleaned."""
    return not (_SURE.search(_ESCAPED.sub("", text[:_BEGINNING])) or clean(text))


def _bare(text: str) -> str:
    return text.strip().strip(_INVISIBLE).strip()
