"""The metadata at the head of a Markdown file: YAML between two lines `---`, TOML between two lines `+++`."""

import re
import tomllib
from typing import Any, NamedTuple

import yaml

from nestling.params import parse_yaml

# what Jekyll, Hugo, Pandoc, Obsidian, MkDocs and Docusaurus call their fields: two rules around a line that looks like
# a field (`Note: closed on Sundays`) are no front matter
_NAMES = (
    "title language lang licence license abstract alias aliases author authors bibliography categories "
    "category comments cover created cssclass cssclasses date description draft expirydate id image "
    "keywords lastmod last_modified_at layout linktitle locale modified nav_order parent permalink "
    "publish publishdate published redirect_from sidebar_label sidebar_position slug subtitle summary tag "
    "tags template toc type updated url weight"
)
_FIELDS = frozenset(_NAMES.split())
_CLOSED = r"[ \t]*(?:\n|\Z)"
_BLOCK = re.compile(
    rf"---[ \t]*\n(?P<yaml>(?:.*\n)*?)(?:---|\.\.\.){_CLOSED}|\+\+\+[ \t]*\n(?P<toml>(?:.*\n)*?)\+\+\+{_CLOSED}"
)
_LINE = re.compile(r"^([\w-]+)[ \t]*[:=][ \t]*(.*)$", re.MULTILINE)
_NO_PLAIN_TEXT = tuple("[{&*!|>%@`")  # what begins a list, a mapping and the like
_NULL = ("~", "null", "Null", "NULL")


class FrontMatter(NamedTuple):
    """The fields of front matter by their names in lower case, the text after it, and what is wrong with it."""

    fields: dict[str, str]
    rest: str
    fault: str = ""


def split_front_matter(text: str) -> FrontMatter:
    r"""Return the front matter of a text and the rest, which is the whole text where none begins it.

    Fields that hold no single text are left out. Where the syntax is broken, lines `name: value` count.

    Args:
        text: with the line end \n.
    """
    block = _BLOCK.match(text)
    if not block or not block.lastgroup:
        return FrontMatter({}, text)
    matter, rest = block[block.lastgroup], text[block.end() :]
    try:
        found = parse_yaml(matter, yaml.BaseLoader) if block.lastgroup == "yaml" else tomllib.loads(matter)
    except (ValueError, RecursionError) as error:
        return _by_lines(matter, rest, text, f"{type(error).__name__}: {error}")
    if not found:  # empty, or comments alone
        return FrontMatter({}, rest)
    fields = {str(name).strip().lower(): value for name, value in found.items()} if isinstance(found, dict) else {}
    if not _FIELDS.intersection(fields):
        return FrontMatter({}, text)
    return FrontMatter({name: told for name, value in fields.items() if (told := _text(value))}, rest)


def _text(value: Any) -> str:
    told = "" if isinstance(value, (dict, list)) else str(value).strip()
    return "" if told in _NULL else told


def _by_lines(matter: str, rest: str, text: str, fault: str) -> FrontMatter:
    lines = {name.lower(): value.strip() for name, value in _LINE.findall(matter)}
    if not _FIELDS.intersection(lines):
        return FrontMatter({}, text)
    fields = {name: value.strip("\"'") for name, value in lines.items() if not value.startswith(_NO_PLAIN_TEXT)}
    return FrontMatter(fields, rest, fault) if _FIELDS.intersection(fields) else FrontMatter({}, text, fault)
