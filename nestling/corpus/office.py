"""Office documents: Word, OpenDocument. Libraries are imported where they are used: few sets need them."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

from lxml.etree import LxmlError, XMLParser, fromstring

from nestling.corpus.content import Content, UnreadableError, parsing

_LARGEST_UNPACKED = 500_000_000  # bytes: an office document that unpacks to more was made to fill the memory


class _Form(NamedTuple):
    """What the elements of a format are; all that are not named stand within a line of text."""

    lines: frozenset[str]
    groups: frozenset[str]  # of lines; what they say between the lines is no text
    row: str
    cells: frozenset[str]
    blanks: frozenset[str]
    notes: frozenset[str] = frozenset()  # come at the end
    left_out: frozenset[str] = frozenset()


_HTML = _Form(
    lines=frozenset(["h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "td", "th"]),
    groups=frozenset(["ul", "ol", "table", "thead", "tbody", "tr"]),
    row="tr",
    cells=frozenset(["td", "th"]),
    blanks=frozenset(["br"]),
)
_SPACES = {
    name: f"{{urn:oasis:names:tc:opendocument:xmlns:{space}:1.0}}"
    for name, space in {
        "draw": "drawing",
        "meta": "meta",
        "office": "office",
        "svg": "svg-compatible",
        "table": "table",
        "text": "text",
    }.items()
} | {"dc": "{http://purl.org/dc/elements/1.1/}"}


def _odf(names: str) -> frozenset[str]:
    parts = (name.split(":") for name in names.split())
    return frozenset(f"{_SPACES[space]}{name}" for space, name in parts)


_ODF = _Form(
    lines=_odf("text:h text:p"),
    groups=_odf(
        "text:list text:list-header text:list-item text:section text:table-of-content text:index-body "
        "text:index-title text:numbered-paragraph table:table table:table-header-rows table:table-rows "
        "table:table-row-group table:table-row table:table-cell draw:text-box"
    ),
    row=f"{_SPACES['table']}table-row",
    cells=_odf("table:table-cell"),
    blanks=_odf("text:line-break text:s text:tab"),
    notes=_odf("text:note"),
    left_out=_odf("office:annotation text:tracked-changes text:note-citation text:ruby-text svg:desc svg:title"),
)


def read_docx(path: Path) -> Content:
    """Read the paragraphs and tables of a Word document (mammoth); a first heading becomes the title.

    Raises:
        UnreadableError: it is damaged or encrypted.
    """
    import mammoth
    from lxml.html import fragment_fromstring

    content = _unpackable(path)
    with parsing("Word document", LxmlError):
        page = mammoth.convert_to_html(BytesIO(content), convert_image=mammoth.images.img_element(lambda _: {})).value
        lines = list(_lines(fragment_fromstring(page, create_parent=True), _HTML))
    title = lines[0][1] if lines and lines[0][0] == "h1" else ""
    return Content(title, "\n".join(text for _, text in (lines[1:] if title else lines)))


def read_odt(path: Path) -> Content:
    """Read the headings, paragraphs and tables of an OpenDocument text; notes come at the end.

    Raises:
        UnreadableError: it is damaged or encrypted.
    """
    content = _unpackable(path)
    parser = XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    with parsing("OpenDocument text", LxmlError), ZipFile(BytesIO(content)) as packed:
        body = fromstring(packed.read("content.xml"), parser).find(f"{_SPACES['office']}body")
        meta = fromstring(packed.read("meta.xml"), parser) if "meta.xml" in packed.namelist() else None
        title = meta.findtext(f".//{_SPACES['dc']}title") if meta is not None else None
        lines = [text for _, text in _lines(body, _ODF)]
    return Content((title or "").strip(), "\n".join(lines))


def _lines(root: Any, form: _Form) -> Iterator[tuple[str, str]]:
    """Yield tag and text of each line of text below `root`, each text once; a row of a table is one line."""
    notes = list[Any]()
    yield from _block(root, form, notes)
    for note in notes:
        yield from _block(note, form, [])


def _block(block: Any, form: _Form, notes: list[Any]) -> Iterator[tuple[str, str]]:
    own, inner = list[str](), list[Any]()
    if block.tag == form.row:
        cells = (" ".join(text for _, text in _block(cell, form, notes)) for cell in block if cell.tag in form.cells)
        own = [" | ".join(text for text in cells if text)]
    else:
        _gather(block, form, own, inner, notes)
    text = " ".join("".join(own).split())
    if text and block.tag in (*form.lines, form.row):
        yield str(block.tag), text
    for one in inner:
        yield from _block(one, form, notes)


def _gather(node: Any, form: _Form, own: list[str], inner: list[Any], notes: list[Any]) -> None:
    """Add what stands in the line itself to `own`, what is a line or a group within it to `inner`."""
    blocks = form.lines | form.groups
    own.append(node.text or "")
    for child in node:
        if child.tag in blocks:
            inner.append(child)
        elif child.tag in form.notes:
            notes.append(child)
        elif child.tag in form.blanks:
            own.append(" ")
        elif isinstance(child.tag, str) and child.tag not in form.left_out:
            _gather(child, form, own, inner, notes)
        own.append(child.tail or "")


def _unpackable(path: Path) -> bytes:
    content = path.read_bytes()
    with parsing("ZIP file, as office documents are: damaged or encrypted"), ZipFile(BytesIO(content)) as packed:
        size = sum(part.file_size for part in packed.infolist())
    if size > _LARGEST_UNPACKED:
        raise UnreadableError(f"it unpacks to {size} bytes")
    return content
