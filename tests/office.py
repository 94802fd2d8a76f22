"""Office documents as the programs of offices write them."""

import zipfile
from pathlib import Path

from nestling.corpus.content import Content
from nestling.corpus.formats import FILE_FORMATS, kind_of

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def package(path: Path, kind: str, parts: dict[str, str]) -> Path:
    """Write an OOXML package whose main part is the first of `parts`."""
    main, types = next(iter(parts)), "application/vnd.openxmlformats-officedocument"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
            f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="{types}.{kind}.main+xml"/></Types>',
        )
        packed.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{OFFICE}/officeDocument" Target="{main}"/></Relationships>',
        )
        for name, text in parts.items():
            packed.writestr(name, text)
    return path


def docx(path: Path, body: str) -> Path:
    document = f'<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'
    styles = (
        f'<w:styles xmlns:w="{W}"><w:style w:type="paragraph" w:styleId="Heading1">'
        '<w:name w:val="heading 1"/></w:style></w:styles>'
    )
    links = (
        f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/styles" '
        'Target="styles.xml"/></Relationships>'
    )
    parts = {"word/document.xml": document, "word/styles.xml": styles, "word/_rels/document.xml.rels": links}
    return package(path, "wordprocessingml.document", parts)


def xlsx(path: Path, *rows: tuple[object, ...]) -> Path:
    def cell(value: object) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>" if value is not None else "<c/>"

    lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    links = (
        f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>'
    )
    book = (
        f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets><sheet name="FAQ" sheetId="1" r:id="r1"/></sheets>'
        "</workbook>"
    )
    parts = {
        "xl/workbook.xml": book,
        "xl/_rels/workbook.xml.rels": links,
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{SHEET}"><sheetData>{lines}</sheetData></worksheet>',
    }
    return package(path, "spreadsheetml.sheet", parts)


def p(text: str, style: str = "") -> str:
    head = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{head}<w:r><w:t>{text}</w:t></w:r></w:p>"


def read(path: Path) -> Content:
    return FILE_FORMATS[kind_of(path.name)](path)
