"""Read the documents of a set: every supported file below documents/, and a corpus.jsonl as BEIR has it.

Texts are returned as they are; cleaning is done in nestling.corpus.cleaning.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import polars as pl

from nestling.corpus.content import UnreadableError, whole_characters
from nestling.corpus.delimited import read_delimited
from nestling.corpus.formats import FILE_FORMATS, kind_of
from nestling.corpus.ids import content_id
from nestling.corpus.mail import read_mailbox
from nestling.corpus.parquet import read_parquet
from nestling.corpus.rejects import NOTHING, Reject, emptied, rejects_frame
from nestling.corpus.rows import Row, read_jsonl
from nestling.corpus.settings import FILE, Settings, read_settings
from nestling.corpus.spreadsheets import read_spreadsheet
from nestling.corpus.values import UnusableError, id_of, identity, is_blank, text_of, title_of
from nestling.corpus.walk import Found, judge, walk
from nestling.errors import UserError
from nestling.tables.corpus import Document
from nestling.tables.io import empty

IDS = ("_id", "id", "document_id")
LICENCES = ("licence", "license")
COLUMNS = (*IDS, "title", "text", "language", *LICENCES)

_CORPUS = ("corpus.jsonl", "corpus.jsonl.gz")
_KNOWN = {*_CORPUS, FILE, "documents", "queries.jsonl", "queries.jsonl.gz", "qrels", "sts", "eval"}
_ABOUT = ("readme", "licence", "license", "notice")  # files about a set, for people


class Raw(NamedTuple):
    """A document as it was brought; the fields are the columns of Document."""

    document_id: str
    title: str
    text: str
    language: str | None
    licence: str | None
    source: str


def read_documents(folder: Path, max_bytes: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the documents of a set (Document), in order of their files, and what was left out (Rejected).

    A file of several rows of which nothing is left is among the latter (nestling.corpus.rejects.ALL).

    Args:
        folder: data/raw/<set>.
        max_bytes: a document with a longer text (UTF-8) is left out.

    Raises:
        UserError: there is no such set, or its set.yaml means nothing.
    """
    check_set(folder)
    kept, rejects = distinct(_documents(folder, max_bytes, read_settings(folder)))
    return documents_frame(kept), rejects_frame(rejects)


def check_set(folder: Path) -> None:
    """Make sure that the set is there.

    Raises:
        UserError: it is not; says which sets are.
    """
    if folder.is_dir():
        return
    if folder.with_name(f"{folder.name}.dvc").exists():
        raise UserError(f"{folder} is missing but {folder}.dvc describes it: run `dvc pull`")
    beside = sorted(path.name for path in folder.parent.glob("[!.]*/")) if folder.parent.is_dir() else []
    there = f"the sets there are {', '.join(beside)}" if beside else "there is no set yet"
    raise UserError(
        f"{folder} is not a folder: {there}; set shared.set in params.yaml or bring texts with `nestling add`"
    )


def distinct(documents: Iterable[Raw | Reject]) -> tuple[list[Raw], list[Reject]]:
    """Return the documents, of each id the first, and the rejects among them and the repeats.

    A file of which nothing is left, for all its ids name other texts too, is rejected as a whole besides.
    """
    kept: dict[str, Raw] = {}
    rejects: list[Reject] = []
    used: dict[str, int] = {}  # documents that a file brought, and those that it only repeats word for word
    clashes: dict[str, list[Reject]] = {}
    for document in documents:
        if isinstance(document, Reject):
            rejects.append(document)
            continue
        repeated = repeat(document, kept)
        same = kept[document.document_id].text == document.text
        used[document.source] = used.get(document.source, 0) + same
        if repeated:
            rejects.append(repeated)
        if repeated and not same:
            clashes.setdefault(document.source, []).append(repeated)
    for source, lost in clashes.items():
        rejects += emptied("file", source, used[source], lost) if used[source] or len(lost) > 1 else []
    return list(kept.values()), rejects


def repeat(document: Raw, kept: dict[str, Raw]) -> Reject | None:
    """Keep a document whose id is new, else return its reject."""
    first = kept.setdefault(document.document_id, document)
    if first is document:
        return None
    how = "word for word" if first.text == document.text else "with another text"
    detail = f"{document.source} repeats {first.source} {how}"
    return Reject("document", document.document_id, "duplicate_id", detail, document.text)


def documents_frame(documents: Iterable[Raw]) -> pl.DataFrame:
    """Return the documents as the table Document."""
    return pl.DataFrame(list(documents), schema=empty(Document).schema, orient="row")


def row_documents(
    rows: Iterable[Row | Reject], source: str, max_bytes: int, settings: Settings
) -> Iterator[Raw | Reject]:
    """Yield the document in each row; one without an id is named by its content.

    At last comes the reject of the file if it has no row, or several of which nothing is left.
    """
    kept, rejects = 0, list[Reject]()
    for row in rows:
        document = row if isinstance(row, Reject) else _row_document(row, source, max_bytes, settings)
        if isinstance(document, Reject):
            rejects.append(document)
        else:
            kept += 1
        yield document
    if kept or len(rejects) > 1:
        yield from emptied("file", source, kept, rejects)
    elif not rejects:
        yield Reject("file", source, "missing_text", NOTHING)


def _documents(folder: Path, max_bytes: int, settings: Settings) -> Iterator[Raw | Reject]:
    yield from _strangers(folder)
    corpora = [judge(folder / name, folder) for name in _CORPUS if (folder / name).exists()]
    for found in [*corpora, *walk(folder / "documents", folder)]:
        kind = kind_of(found.name)
        if found.reason == "hidden":
            continue
        if found.reason or not kind:
            yield Reject(
                "file", found.name, found.reason or "unsupported", found.detail or "a format that is not read"
            )
        elif kind in FILE_FORMATS:
            yield _file_document(found, kind, max_bytes, settings)
        else:
            yield from row_documents(read_rows(found, kind, max_bytes), found.name, max_bytes, settings)


def _strangers(folder: Path) -> Iterator[Reject]:
    """Yield what lies at the top of a set and has no meaning there, so that a misplaced corpus does not go unseen."""
    for path in sorted(folder.iterdir()):
        known = path.name in _KNOWN or path.name.lower().startswith(_ABOUT)
        if not known and not path.name.startswith(".") and path.suffix != ".dvc":
            yield Reject("file", path.name, "unsupported", "nothing of this name belongs at the top of a set")


def read_rows(found: Found, kind: str, max_bytes: int) -> Iterator[Row | Reject]:
    """Yield the rows of a JSON lines, delimited or Parquet file."""
    if kind == "jsonl":
        return read_jsonl(found.path, found.name, max_bytes)
    if kind == "csv":
        return read_delimited(found.path, found.name, max_bytes, COLUMNS, ["text"], IDS)
    if kind == "xlsx":
        return read_spreadsheet(found.path, found.name, COLUMNS, needs=["text"])
    if kind == "mbox":
        return read_mailbox(found.path, found.name, max_bytes)
    return read_parquet(found.path, found.name, COLUMNS, needs=["text"])


def _row_document(row: Row, source: str, max_bytes: int, settings: Settings) -> Raw | Reject:
    try:
        text, title, name = text_of(row.values, "text"), title_of(row.values, "title"), id_of(row.values, *IDS)
        language = text_of(row.values, "language") or settings.language
        licence = text_of(row.values, *LICENCES) or settings.licence
    except UnusableError as error:
        return Reject("document", row.place, "invalid_value", str(error))
    value = row.values.get("text")
    if not text and title and (value is None or isinstance(value, str)):
        text, title = title, ""  # a title alone is what there is to read
    if not text:
        where = f"{row.place}: " if name else ""
        return Reject("document", name or row.place, "missing_text", where + _no_text(row))
    if _is_large(text, max_bytes):
        return Reject("document", name or row.place, "too_large", f"{row.place}: more than {max_bytes} bytes", text)
    return Raw(name or content_id(title, text), title, text, language, licence, source)


def _no_text(row: Row) -> str:
    if "text" not in row.values:
        return f"no key text; there are {', '.join(map(repr, row.values))[:100] or 'none'}"
    value = row.values["text"]
    empty = value is None or isinstance(value, str)
    return "the text is empty" if empty else f"text is of type {type(value).__name__}"


def _file_document(found: Found, kind: str, max_bytes: int, settings: Settings) -> Raw | Reject:
    name = identity(found.name.removeprefix("documents/"))
    if found.path.stat().st_size > max_bytes:
        return Reject("document", name, "too_large", f"a file of more than {max_bytes} bytes")
    try:
        content = FILE_FORMATS[kind](found.path)
    except UnicodeDecodeError as error:
        return Reject("document", name, "invalid_utf8", f"{error.reason} at byte {error.start}")
    except UnreadableError as error:
        return Reject("file", found.name, "unreadable", str(error))
    title, text, language, licence, missing = map(whole_characters, content)
    if is_blank(text):
        title, text = "", title  # a title alone is what there is to read
    if is_blank(text):
        return Reject("document", name, "missing_text", missing)
    if _is_large(text, max_bytes):
        return Reject("document", name, "too_large", f"a text of more than {max_bytes} bytes", text)
    title = title or PurePosixPath(name).stem
    return Raw(name, title, text, language or settings.language, licence or settings.licence, found.name)


def _is_large(text: str, max_bytes: int) -> bool:
    return len(text) > max_bytes or len(text.encode("utf-8")) > max_bytes
