"""How the search service says no, and the readers that say it: what is not known is refused, never guessed at."""

from collections.abc import Collection
from typing import Any


class RefusedError(Exception):
    """What a call gets in place of an answer.

    Attributes:
        kind: its class, a word for programs.
        status: of HTTP.
    """

    def __init__(self, reason: str, kind: str = "parsing_exception", status: int = 400) -> None:
        super().__init__(reason)
        self.kind, self.status = kind, status


def members(tree: Any, what: str, known: Collection[str]) -> dict[str, Any]:
    """Return a JSON object that holds nothing but known members."""
    if not isinstance(tree, dict):
        raise RefusedError(f"{what} must be an object")
    if unknown := sorted(set(tree) - set(known)):
        raise RefusedError(f"{what}: unknown {unknown}")
    return tree


def single(tree: Any, what: str) -> tuple[str, Any]:
    """Return the name and the value of an object's only member."""
    if not isinstance(tree, dict) or len(tree) != 1:
        raise RefusedError(f"{what} must be an object with one member")
    return next(iter(tree.items()))


def text(tree: dict[str, Any], name: str, what: str) -> str:
    """Return a member that must be there and be text."""
    value = tree.get(name)
    if not isinstance(value, str):
        raise RefusedError(f"{what}: {name} must be text")
    return value


def whole(value: Any, what: str) -> int:
    """Return a number that counts something."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RefusedError(f"{what} must be a whole number, 0 or more")
    return value


def listed(value: Any) -> list[Any]:
    """Return what may stand alone or in a list as a list; empty for null."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
