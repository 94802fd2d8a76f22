"""Rankings as files: TREC's run and qrels, which trec_eval, ir_measures and their like read.

A run holds each query's first hundred documents and what is tied with the hundredth, with scores, so that any tool
ranks again; `ir_measures QRELS RUN nDCG@10` gives our figure but for ties, which it orders by name. Blanks, control
characters and percent signs of ids are percent-encoded (`urllib.parse.unquote` turns them back): TREC's columns are
parted by blanks.
"""

import gzip
import io
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

PLAIN = 100_000  # lines of a run at most that are not compressed, a few megabytes

Run = Mapping[str, Mapping[str, float]]
_UNSAFE = re.compile(r"[%\s\x00-\x1f\x7f]")


def safe(name: str) -> str:
    """Return an id as one column."""
    return _UNSAFE.sub(lambda found: quote(found[0]), name)


def packed(lines: int) -> str:
    """Return the ending of a run's name that may have so many lines."""
    return ".gz" if lines > PLAIN else ""


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of `folder` when the block ends well."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """Yield a text file to write, compressed where its name ends in .gz; the same text gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        with (
            path.open("wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packing,
            io.TextIOWrapper(packing, encoding="utf-8", newline="\n") as text,
        ):
            yield text
    else:
        with path.open("w", encoding="utf-8", newline="\n") as text:
            yield text


def write_run(run: Run, tag: str, file: TextIO) -> None:
    """Write a run's lines, in trec_eval's order: by falling score, of equals the greater name first."""
    for query, found in run.items():
        ranked = sorted(((score, safe(name)) for name, score in found.items()), reverse=True)
        for rank, (score, name) in enumerate(ranked, start=1):
            file.write(f"{safe(query)} Q0 {name} {rank} {score:.9g} {tag}\n")


def write_qrels(qrels: Mapping[str, Mapping[str, int]], file: TextIO) -> None:
    """Write judgements, queries and documents in order of their names."""
    for query, grades in sorted(qrels.items()):
        for document, grade in sorted(grades.items()):
            file.write(f"{safe(query)} 0 {safe(document)} {grade}\n")
