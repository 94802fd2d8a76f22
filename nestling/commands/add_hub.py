"""Take the texts of a Hugging Face dataset, at one revision, into a set; code of a dataset is never run."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from nestling.cli import say
from nestling.commands.landing import Target, landing, slug
from nestling.corpus.values import id_of, text_of
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
    counts = {"taken": 0, "left": 0}
    with landing(target) as staging, replacing(staging / "documents" / source.file) as path:
        with path.open("w", encoding="utf-8") as stream:
            for row in islice(_read(rows, source), source.limit):
                line = _line(row, source)
                counts["taken" if line else "left"] += 1
                stream.write(line)
        if not counts["taken"]:
            raise UserError(f"{source.dataset}: no row has a text in column {source.column}")
        say(f"took {counts['taken']} texts of {source.dataset} at {source.revision}")
        say(f"left {counts['left']} rows without text")


def _check_revision(source: HubSource) -> None:
    fixed = source.revision if Path(source.dataset).is_dir() else _COMMIT.fullmatch(source.revision)
    if not fixed:
        raise UserError(
            "--revision must be the full commit of the dataset (40 hex digits): a version that cannot move, unlike a "
            "branch or a tag, so that the set can be made again; the hub lists commits below Files and versions"
        )


def _open(source: HubSource) -> Iterable[dict[str, Any]]:
    from datasets.load import load_dataset  # here, for it is slow to import

    folder = Path(source.dataset)
    where = str(folder.resolve()) if folder.is_dir() else source.dataset
    with _one_sentence(source):
        rows = load_dataset(where, source.config, split=source.split, streaming=True, revision=source.revision)
        return cast("Iterable[dict[str, Any]]", rows)


def _read(rows: Iterable[dict[str, Any]], source: HubSource) -> Iterator[dict[str, Any]]:
    """Yield the rows; columns are looked up in the first, for a stream need not declare them."""
    wanted = [name for name in (source.column, source.title_column, source.id_column) if name]
    with _one_sentence(source):
        for number, row in enumerate(rows):
            if number == 0 and (absent := [name for name in wanted if name not in row]):
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
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        raise UserError(f"{source.dataset} cannot be read: {' '.join(str(error).split())}") from None


def _line(row: dict[str, Any], source: HubSource) -> str:
    """Return the row as a line of JSON, or an empty text where it has no text."""
    text = text_of(row, source.column)
    title = text_of(row, source.title_column or "")
    name = id_of(row, source.id_column or "")
    values = {"_id": name, "title": title, "text": text}
    said = {key: value for key, value in values.items() if value}
    return json.dumps(said, ensure_ascii=False) + "\n" if text else ""
