"""Take the texts of a Hugging Face dataset, at one revision, into a set; code of a dataset is never run."""

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from nestling.cli import say
from nestling.commands.landing import Target, landing, slug
from nestling.corpus.delimited import folded, read_delimited
from nestling.corpus.formats import kind_of
from nestling.corpus.rejects import Reject, counted, first_of
from nestling.corpus.rows import MAX_ROW
from nestling.corpus.values import UnusableError, id_of, text_of, title_of
from nestling.errors import UserError
from nestling.tables.io import replacing

_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubSource(NamedTuple):
    """Which texts of which dataset."""

    dataset: str  # id on the hub, or a local folder
    revision: str
    config: str | None
    split: str
    column: str
    title_column: str | None
    id_column: str | None
    limit: int | None

    @property
    def file(self) -> str:
        """Return the name of the file that the texts go to."""
        parts = (Path(self.dataset).name, self.config, self.split)
        return "-".join(slug(part) for part in parts if part) + ".jsonl"


def bring_hub(source: HubSource, target: Target) -> None:
    """Write the texts to documents/<dataset>-<config>-<split>.jsonl.

    Raises:
        UserError: the revision can move, the dataset cannot be reached, or it has no such split, column or text.
    """
    _check_revision(source)
    rows = _open(source)
    counts, rejects = {"taken": 0, "left": 0, "nameless": 0}, list[Reject]()
    with landing(target) as staging, replacing(staging / "documents" / source.file) as path:
        with path.open("w", encoding="utf-8") as stream:
            for number, row in enumerate(islice(_read(rows, source), source.limit), 1):
                values = row if isinstance(row, Reject) else _values(row, source, number)
                if isinstance(values, Reject):
                    rejects.append(values)
                    continue
                counts["taken" if values else "left"] += 1
                counts["nameless"] += bool(values) and "_id" not in values
                stream.write(json.dumps(values, ensure_ascii=False) + "\n" if values else "")
        why = f" ({counted(rejects)}; {first_of(rejects)})" if rejects else ""
        if not counts["taken"]:
            raise UserError(f"{source.dataset}: no row has a text in column {source.column}{why}")
        say(f"took {counts['taken']} texts of {source.dataset} at {source.revision}")
        say(f"left {counts['left']} rows without text, {len(rejects)} rows that cannot be used{why}")
        if source.id_column and counts["nameless"]:
            said = f"{counts['nameless']} of the texts have no id in column {source.id_column}"
            say(f"note: {said}: their content names them")


def _check_revision(source: HubSource) -> None:
    fixed = source.revision if Path(source.dataset).is_dir() else _COMMIT.fullmatch(source.revision)
    if not fixed:
        raise UserError(
            "--revision must be the full commit of the dataset (40 hex digits): a version that cannot move, unlike a "
            "branch or a tag, so that the set can be made again; the hub lists commits below Files and versions"
        )


def _open(source: HubSource) -> Iterable[dict[str, Any] | Reject]:
    from datasets.load import load_dataset_builder  # here, for it is slow to import
    from datasets.packaged_modules.csv.csv import CsvConfig

    folder = Path(source.dataset)
    where = str(folder.resolve()) if folder.is_dir() else source.dataset
    with _one_sentence(source):
        builder = load_dataset_builder(where, source.config, revision=source.revision)
        is_csv, config = isinstance(builder.config, CsvConfig), cast("Any", builder.config)
        if is_csv:
            files = [str(file) for file in config.data_files.get(source.split, [])]
            if files and all(Path(file).is_file() and kind_of(file) == "csv" for file in files):
                return _delimited(files, source)
            # everything is text: 007 is no 7, and a column of ids in which one is missing no column of floats
            config.dtype, config.keep_default_na = str, False
        rows = builder.as_streaming_dataset(split=source.split)
        return cast("Iterable[dict[str, Any]]", rows)


def _delimited(files: list[str], source: HubSource) -> Iterator[dict[str, Any] | Reject]:
    """Yield the rows of CSV files on this machine, whatever their dialect."""
    wanted = {folded(name): name for name in (source.column, source.title_column, source.id_column) if name}
    ids = [folded(source.id_column)] if source.id_column else []
    for file in files:
        for row in read_delimited(Path(file), Path(file).name, MAX_ROW, [*wanted], [*wanted], ids):
            if isinstance(row, Reject) and row.reason == "unreadable":
                raise UserError(f"{source.dataset}: {row.item_id} has {row.detail}")
            yield row if isinstance(row, Reject) else {wanted[name]: value for name, value in row.values.items()}


def _read(rows: Iterable[dict[str, Any] | Reject], source: HubSource) -> Iterator[dict[str, Any] | Reject]:
    """Yield the rows; columns are looked up in the first, for a stream need not declare them."""
    wanted = [name for name in (source.column, source.title_column, source.id_column) if name]
    with _one_sentence(source):
        for number, row in enumerate(rows):
            if number == 0 and isinstance(row, dict) and (absent := [name for name in wanted if name not in row]):
                raise UserError(f"{source.dataset} has no column {', '.join(absent)}: there are {', '.join(row)}")
            yield row


@contextmanager
def _one_sentence(source: HubSource) -> Iterator[None]:
    """Turn what the hub and a broken dataset raise, at the first row or the last, into one sentence."""
    from datasets.exceptions import DatasetsError

    try:
        yield
    except ConnectionError:
        raise UserError(f"{source.dataset} cannot be reached: try again with a network, or give a folder") from None
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, DatasetsError) as error:
        raise UserError(f"{source.dataset} cannot be read: {' '.join(str(error).split())}") from None


def _values(row: dict[str, Any], source: HubSource, number: int) -> dict[str, str] | Reject:
    """Return the row as a document, or nothing where it has neither text nor title."""
    text, title = text_of(row, source.column), title_of(row, source.title_column or "")
    try:
        values = {"_id": id_of(row, source.id_column or ""), "title": title, "text": text}
    except UnusableError as error:
        return Reject("document", f"row {number}", "invalid_value", str(error))
    return {key: value for key, value in values.items() if value} if text or title else {}
