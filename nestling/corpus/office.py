"""Office documents: Word, OpenDocument, rich text. Libraries are imported where they are used: few sets need them."""

import zlib
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError
from zipfile import BadZipFile, ZipFile

from nestling.corpus.content import Content, UnreadableError

_ZIP_ERRORS = (BadZipFile, ExpatError, KeyError, ValueError, zlib.error, RuntimeError)  # RuntimeError: encrypted
_LARGEST_UNPACKED = 500_000_000  # bytes: an office document that unpacks to more was made to fill the memory
_ODT_TEXT = "descendant::text:h|descendant::text:p"


def read_docx(path: Path) -> Content:
    """Read the paragraphs and tables of a Word document (mammoth); a first heading becomes the title.

    Raises:
        UnreadableError: it is damaged or encrypted.
    """
    import mammoth
    from lxml.html import fragment_fromstring

    _check_unpacked(path)
    try:
        with path.open("rb") as stream:
            page = mammoth.convert_to_html(stream, convert_image=mammoth.images.img_element(lambda _: {})).value
    except _ZIP_ERRORS as error:
        raise UnreadableError(f"no Word document: {type(error).__name__}: {error}") from None
    lines = _lines(fragment_fromstring(page, create_parent=True))
    title = lines[0][1] if lines and lines[0][0] == "h1" else ""
    return Content(title, "\n".join(text for _, text in (lines[1:] if title else lines)))


def _lines(tree: Any) -> list[tuple[str, str]]:
    """Return tag and text of each block of a page, a row of a table on one line."""
    found = []
    for block in tree.iterdescendants("h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "tr"):
        inside = {ancestor.tag for ancestor in block.iterancestors()}
        if "tr" in inside or (block.tag == "p" and "li" in inside):
            continue
        for old in block.iterdescendants("br"):
            old.tail = f" {old.tail or ''}"
        parts = block.iterdescendants("td", "th") if block.tag == "tr" else [block]
        texts = [" ".join("".join(part.itertext()).split()) for part in parts]
        if text := " | ".join(text for text in texts if text):
            found.append((block.tag, text))
    return found


def read_odt(path: Path) -> Content:
    """Read the headings and paragraphs of an OpenDocument text (odfdo).

    Raises:
        UnreadableError: it is damaged or encrypted.
    """
    from lxml.etree import LxmlError
    from odfdo import Document

    _check_unpacked(path)
    try:
        document = Document(path)
        title = document.meta.title or ""
        blocks = [
            block
            for block in document.body.get_elements(_ODT_TEXT)
            if not block.xpath("ancestor::text:tracked-changes|ancestor::text:p")
        ]
        text = "\n".join(block.inner_text for block in blocks)
    except (*_ZIP_ERRORS, AttributeError, LxmlError) as error:
        raise UnreadableError(f"no OpenDocument text: {type(error).__name__}: {error}") from None
    return Content(title.strip(), text)


def read_rtf(path: Path) -> Content:
    """Read the text of a rich text file (striprtf).

    Raises:
        UnreadableError: it is no rich text.
    """
    from striprtf.striprtf import rtf_to_text

    source = path.read_bytes().decode("latin-1")  # RTF is ASCII; other characters are escaped
    if not source.lstrip().startswith("{\\rtf"):
        raise UnreadableError("no rich text: it does not begin with {\\rtf")
    return Content("", rtf_to_text(source, errors="replace"))


def _check_unpacked(path: Path) -> None:
    try:
        with ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
    except BadZipFile:
        raise UnreadableError("damaged or encrypted: it is no ZIP file, as office documents are") from None
    if size > _LARGEST_UNPACKED:
        raise UnreadableError(f"it unpacks to {size} bytes")
