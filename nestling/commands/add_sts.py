"""Copy files of graded sentence pairs into a set, to train on or to evaluate with."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nestling.cli import say
from nestling.commands.landing import Target, landing
from nestling.corpus.pairs import ENDINGS, normalise_scores, read_pairs, scale_of
from nestling.corpus.recorded import check_suite_name, suites_in
from nestling.corpus.rejects import Reject, counted, first_of
from nestling.corpus.settings import FILE, read_settings, rises
from nestling.errors import UserError


def bring_sts(tables: list[Path], target: Target, *, evaluate: bool, scale: tuple[float, float] | None) -> None:
    """Copy the files to sts/, or to eval/ as one suite each.

    Args:
        tables: CSV or TSV.
        target: the set.
        evaluate: whether they go to eval/.
        scale: lowest and highest score, or None where set.yaml or the scores themselves tell.

    Raises:
        UserError: a file is missing, has no pair or shows no scale, or two have one name.
    """
    if scale and not rises(*scale):
        raise UserError("--scale must be the lowest and the highest score, two finite numbers")
    names: dict[str, Path] = {}
    for table in tables:
        if table.suffix.lower() not in ENDINGS or not table.is_file():
            raise UserError(f"{table} is not a CSV file: give files with the columns sentence1, sentence2, score")
        name = _name(table, names, target, evaluate=evaluate)
        names[name] = table
    told = {name: _told(name, table, target, scale) for name, table in names.items()}
    scales = {name: list(scale) for name in names} if scale else {}
    with landing(replace(target, scales=scales)) as staging:
        for name, table in names.items():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(table, staging / name)
            say(told[name])


def _name(table: Path, taken: dict[str, Path], target: Target, *, evaluate: bool) -> str:
    """Return the name of the file within the set."""
    name = f"{'eval' if evaluate else 'sts'}/{table.stem}{table.suffix.lower()}"
    if table.stem in {other.stem for other in taken.values()}:
        raise UserError(f"two of the files are named {table.stem}: rename one")
    if evaluate:
        check_suite_name(table.stem, suites_in(target.folder, but=name), f"rename {table}")
    return name


def _told(name: str, table: Path, target: Target, scale: Sequence[float] | None) -> str:
    """Return what is to be said of a file, once it is known that it can be used."""
    found = read_pairs(table, table.name)
    declared = scale or read_settings(target.folder).scale(name)
    _check_any(table, found.pairs, found.rejects)
    way_out = f"give --scale LOW HIGH (sts_scale in {target.folder / FILE})"
    low, high = scale_of(found, declared, str(table), way_out)
    pairs, outside = normalise_scores(found.pairs, (low, high))
    rejects = [*found.rejects, *outside]
    _check_any(table, pairs, rejects)
    left = f"{len(rejects)} rows that cannot be used" + (
        f" ({counted(rejects)}; {first_of(rejects)})" if rejects else ""
    )
    how = "" if declared else ", as they show (--scale or sts_scale can say otherwise)"
    return f"took {table}: {len(pairs)} pairs, {left}; scores go from {low:g} to {high:g}{how}"


def _check_any(table: Path, pairs: Sequence[object], rejects: Sequence[Reject]) -> None:
    if not pairs:
        why = f" ({counted(rejects)}; {first_of(rejects)})" if rejects else ""
        raise UserError(f"{table} has no sentence pair{why}: it needs the columns sentence1, sentence2, score")
