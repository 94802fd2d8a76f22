"""Copy CSV files of graded sentence pairs into a set, to train on or to evaluate with."""

import shutil
from pathlib import Path

from nestling.cli import say
from nestling.commands.landing import Target, landing
from nestling.corpus.pairs import read_pairs
from nestling.corpus.recorded import check_suite_name
from nestling.errors import UserError


def bring_sts(tables: list[Path], target: Target, *, evaluate: bool) -> None:
    """Copy the files to sts/, or to eval/ as one suite each.

    Raises:
        UserError: a file is missing or has no pair, or two have one name.
    """
    taken: set[str] = set()
    for table in tables:
        if table.suffix.lower() != ".csv" or not table.is_file():
            raise UserError(f"{table} is not a CSV file: give files with the columns sentence1, sentence2, score")
        taken.add(_name(table, taken, evaluate=evaluate))
    counts = {table: _count(table) for table in tables}
    with landing(target) as staging:
        for table, (pairs, left) in counts.items():
            copy = staging / ("eval" if evaluate else "sts") / f"{table.stem}.csv"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(table, copy)
            say(f"took {table}: {pairs} pairs, {left} rows that cannot be used")


def _name(table: Path, taken: set[str], *, evaluate: bool) -> str:
    if evaluate:
        check_suite_name(table.stem, set())
    if table.stem in taken:
        raise UserError(f"two of the files are named {table.stem}: rename one")
    return table.stem


def _count(table: Path) -> tuple[int, int]:
    pairs, rejects = read_pairs(table, table.name)
    if not pairs:
        why = f" ({rejects[0].reason}: {rejects[0].detail})" if rejects else ""
        raise UserError(f"{table} has no sentence pair{why}: it needs the columns sentence1, sentence2, score")
    return len(pairs), len(rejects)
