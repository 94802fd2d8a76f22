"""What a value in a row of a foreign file may be taken for: a text, an id, or nothing."""

from collections.abc import Mapping


def text_of(values: Mapping[str, object], *names: str) -> str:
    """Return the first of the named values that is a text with something to see in it, or an empty text."""
    for name in names:
        value = values.get(name)
        if isinstance(value, str) and not is_blank(value):
            return value
    return ""


def id_of(values: Mapping[str, object], *names: str) -> str:
    """Return the first of the named values that can be an id, a text or a whole number, or an empty text."""
    for name in names:
        value = values.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""


def is_blank(text: str) -> bool:
    """Tell whether `text` shows nothing: blanks, control and zero-width characters only."""
    return not any(character.isprintable() and not character.isspace() for character in text)
