"""The two doors: a table is checked when it is written and when it is read, and is never half written."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dataframely as dy
import polars as pl

from nestling.errors import TableError

S = TypeVar("S", bound=dy.Schema)


def check(frame: pl.DataFrame, schema: type[S], doing: str) -> dy.DataFrame[S]:
    """Return `frame` typed as `schema`, or say which columns or rules fail and on how many rows."""
    try:
        return schema.validate(frame)
    except (dy.exc.SchemaError, dy.exc.ValidationError) as error:
        reason = " ".join(str(error).split("\n\nResolved plan")[0].split())  # polars appends its query plan
        raise TableError(f"{doing}: not a {schema.__name__} table ({frame.height} rows). {reason}") from None


def read_table(path: str | Path, schema: type[S]) -> dy.DataFrame[S]:
    """Read one Parquet table.

    Raises:
        TableError: the file is missing, is not Parquet, or does not hold `schema`.
    """
    try:
        frame = pl.read_parquet(path, glob=False)
    except FileNotFoundError:
        raise TableError(f"{path} is missing: run `dvc repro` (or `dvc pull` for a colleague's artifacts)") from None
    except pl.exceptions.PolarsError as error:
        raise TableError(f"{path} is not a readable Parquet file: {str(error).splitlines()[0]}") from None
    return check(frame, schema, f"reading {path}")


def write_table(frame: pl.DataFrame, path: str | Path, schema: type[S]) -> None:
    """Write one Parquet table, columns in the schema's order, rows sorted by primary key: same rows, same bytes."""
    columns = list(schema.columns())
    keys = schema.primary_key()
    ordered = frame.select([name for name in columns if name in frame.columns])
    whole = bool(keys) and set(keys) <= set(ordered.columns)
    checked = check(ordered.sort(keys) if whole else ordered, schema, f"writing {path}")
    with replacing(path) as temporary:
        checked.write_parquet(temporary, compression="zstd", statistics=True)


def write_json(tree: Any, path: str | Path) -> None:
    """Write a small report: keys in the given order, numbers as they are, a newline at the end."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(tree, ensure_ascii=False, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_text(text: str, path: str | Path) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` and rename it to `path` when the block ends well, remove it when not."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)  # noqa: PTH105 - Path.replace would hide the error's two names
    finally:
        temporary.unlink(missing_ok=True)


def empty(schema: type[S]) -> dy.DataFrame[S]:
    """Return the table without rows."""
    return schema.create_empty()
