"""What a field may hold, by its type, and what it is compared as."""

import math
from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from services.argilla.search.refusal import RefusedError


def word(value: Any) -> str:
    """Return text as it is, and a truth or a number as JSON writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise TypeError
    return str(value)


def number(value: Any) -> int | float:
    """Return a finite number; one that is written as text counts."""
    if isinstance(value, str):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return value


def moment(value: Any) -> float:
    """Return a time in milliseconds; text is ISO 8601 (without a zone: UTC), a number is one already."""
    if not isinstance(value, str):
        return number(value)
    time = datetime.fromisoformat(value)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000


READERS: dict[str, Callable[[Any], str | int | float]] = {
    "keyword": word,
    "text": word,
    "long": number,
    "integer": number,
    "float": number,
    "date_nanos": moment,
}


def read(value: Any, kind: str, field: str) -> str | int | float:
    """Return a value as it is compared."""
    try:
        return READERS[kind](value)
    except (TypeError, ValueError):
        raise RefusedError(f"[{field}] of type [{kind}] cannot hold this value", "mapper_parsing_exception") from None


def unit(value: Any, dims: int, field: str) -> Sequence[float]:
    """Return a vector on the unit sphere; the vector of zeros stays, and is near to nothing."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != dims:
        raise RefusedError(f"[{field}] must be a vector of {dims} numbers", "mapper_parsing_exception")
    try:
        vector = array("d", value)
    except TypeError:
        raise RefusedError(f"[{field}] must hold numbers", "mapper_parsing_exception") from None
    length = math.hypot(*vector)
    if not math.isfinite(length):
        raise RefusedError(f"[{field}] must hold finite numbers", "mapper_parsing_exception")
    return array("d", [x / length for x in vector]) if length else vector
