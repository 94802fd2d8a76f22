"""What a value in a row of a foreign file may be taken for: a text, an id, a number, or nothing."""

import re
import unicodedata
from collections.abc import Mapping

_LARGEST = 2**53  # from here on a float does not tell one whole number from the next
_INVISIBLE = "\ufeff\u200b"  # what Unicode does not count among the blanks
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(([.,'’ \u00a0\u202f])\d{3})(\2\d{3})*(?!\2)[.,]\d*", re.ASCII)  # 1.234,5


def text_of(values: Mapping[str, object], *names: str) -> str:
    """Return the first of the named values that is a text with something to see in it, or an empty text."""
    for name in names:
        value = values.get(name)
        if isinstance(value, str) and not is_blank(value):
            return value
    return ""


def id_of(values: Mapping[str, object], *names: str) -> str:
    """Return the first of the named values that can be an id, a text or a whole number, or an empty text.

    A whole number that a program made a float of, for one of its column was missing, is a whole number still.
    """
    for name in names:
        value = values.get(name)
        if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
            value = int(value)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and (found := identity(str(value))):
            return found
    return ""


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
    """Tell whether `text` shows nothing: blanks, control and zero-width characters only."""
    return not any(character.isprintable() and not character.isspace() for character in text)


def _bare(text: str) -> str:
    return text.strip().strip(_INVISIBLE).strip()
