"""One reader a file format: what a text, page, PDF, office document or message says, and which formats there are."""

import re
import struct
import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from nestling.cli import say
from nestling.corpus.content import Content, UnreadableError
from nestling.corpus.encodings import SINGLE_BYTE, decoded
from nestling.corpus.mail import read_message
from nestling.corpus.office import read_docx, read_odt, read_rtf
from nestling.corpus.web import read_html

# what pypdf and the decoders below it raise on damaged files, seen in the wild; none of it says more than "damaged"
_PDF_ERRORS = (
    PyPdfError,
    DependencyError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


_FRONT_MATTER = re.compile(r"(---|\+\+\+)[ \t]*\r?\n(.*?)\r?\n\1[ \t]*(?:\r?\n|$)", re.DOTALL)


def kind_of(name: str) -> str:
    """Return the format by the name's ending, one of FILE_FORMATS or ROW_FORMATS, or an empty text."""
    lower = name.lower()
    ending = "jsonl" if lower.endswith(".jsonl.gz") else Path(lower).suffix.removeprefix(".")
    ending = {"htm": "html", "markdown": "md", "tsv": "csv", "ods": "xlsx", "xls": "xlsx"}.get(ending, ending)
    return ending if ending in (*FILE_FORMATS, *ROW_FORMATS) else ""


def read_text(path: Path) -> Content:
    """Read plain text.

    Raises:
        UnicodeDecodeError: it is not UTF-8, nor in another encoding that can be told.
    """
    text, encoding = decoded(path.read_bytes())
    if encoding in SINGLE_BYTE:
        say(f"note: {path} is read as {encoding}")
    return Content("", text)


def read_markdown(path: Path) -> Content:
    """Read Markdown as it is written.

    Front matter (YAML between `---`, TOML between `+++`) gives title, language and licence. Without a title there, a
    first line `# title` becomes the title.
    """
    text = read_text(path).text
    about: dict[str, Any] = {}
    if (matter := _FRONT_MATTER.match(text)) and (about := _metadata(matter[1], matter[2])):
        text = text[matter.end() :]
    title, language, licence = (_first_text(about, names) for names in _ABOUT)
    first, _, rest = text.lstrip().partition("\n")
    if first.startswith("# ") and title in ("", first[2:].strip()):
        title, text = first[2:].strip(), rest
    return Content(title, text, language, licence)


_ABOUT = (("title",), ("language", "lang"), ("licence", "license"))


def _metadata(mark: str, text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text) if mark == "---" else tomllib.loads(text)
    except (yaml.YAMLError, tomllib.TOMLDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _first_text(about: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(about[name]).strip() for name in names if isinstance(about.get(name), (str, int, float))), "")


def read_pdf(path: Path) -> Content:
    """Read the text layer of a PDF, page after page; a scan has none.

    Raises:
        UnreadableError: it is damaged or encrypted.
    """
    try:
        with PdfReader(path) as reader:
            title = reader.metadata.title if reader.metadata else None
            text = "\n".join(page.extract_text() for page in reader.pages)
    except _PDF_ERRORS as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from None
    return Content(title.strip() if isinstance(title, str) else "", text)


FILE_FORMATS: dict[str, Callable[[Path], Content]] = {
    "txt": read_text,
    "md": read_markdown,
    "html": read_html,
    "pdf": read_pdf,
    "docx": read_docx,
    "odt": read_odt,
    "rtf": read_rtf,
    "eml": read_message,
}
ROW_FORMATS = ("jsonl", "csv", "parquet", "xlsx", "mbox")  # .ods and .xls are read as .xlsx
