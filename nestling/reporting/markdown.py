"""Pieces of a Markdown card, and the one way in which a text of the corpus enters it: as data that means nothing."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from huggingface_hub import CardData

_HARMLESS = frozenset(" ,.;:'()?!%-")  # ASCII punctuation that starts nothing within a line
_NUMBER = re.compile(r"[-+*]*[\d.,]+[*]*( \[|$)|$")  # an interval may follow
_HUB_LICENCE = re.compile(
    r"apache-2\.0|mit|cc0-1\.0|cc-by(-nc)?(-sa)?-3\.0|cc-by(-nc)?(-sa|-nd)?-4\.0|gfdl|odc-by|odbl|pddl|unlicense"
)


def plain(text: str) -> str:
    """Return a text on one line, without control and direction characters."""
    seen = (" " if unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp") else one for one in text)
    return " ".join("".join(seen).split())


def escape(text: str, limit: int | None = None) -> str:
    """Return a text that Markdown and HTML show as it is, in a paragraph, a list or a cell of a table.

    What could be markup stands as a numeric entity, which is text and nothing else (CommonMark 0.31, section 2.5).

    Args:
        text: any.
        limit: characters shown, at most.
    """
    whole = plain(text)
    shown = whole if limit is None or len(whole) <= limit else f"{whole[:limit].rstrip()} ..."
    safe = "".join(one if one.isalnum() or one in _HARMLESS or ord(one) > 127 else f"&#{ord(one)};" for one in shown)
    safe = re.sub(r"(?<=[^\W_])&#95;(?=[^\W_])", "_", safe)  # within a word it marks nothing
    # in a paragraph's front it would begin a list
    first = re.sub(r"^(\d*)([-.:)])", lambda found: f"{found[1]}&#{ord(found[2])};", safe)
    return re.sub(r"(?i)(?<=www)\.", "&#46;", first)  # a bare address would become a link


def label(name: str) -> str:
    """Return a name as our tables hold it, a reason or a verdict, as words."""
    return escape(name.replace("_", " "))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; columns of numbers are aligned right. Cells stand as given."""
    columns = zip(*rows, strict=True)
    rule = ["---:" if all(_NUMBER.match(cell) for cell in column) else "---" for column in columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule or ["---"] * len(header), *rows))


def fenced(text: str, language: str) -> str:
    """Return a block of code whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def front_matter(head: CardData) -> str:
    """Return the YAML head of a card, as the Hugging Face hub reads it."""
    return f"---\n{head.to_yaml()}\n---"


def hub_licences(licences: Iterable[str]) -> dict[str, Any]:
    """Return the `license` keys of a card's head; what the hub's list does not know is `other`.

    Args:
        licences: as the owners of the texts wrote them.
    """
    stated = sorted({one.strip().lower().replace(" ", "-") for one in licences})
    if not stated or not all(_HUB_LICENCE.fullmatch(one) for one in stated):
        return {"license": "other", "license_name": "as-stated-below"}
    return {"license": stated[0] if len(stated) == 1 else stated}
