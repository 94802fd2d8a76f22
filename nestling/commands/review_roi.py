"""nestling review roi: what people's judgements bought, as the difference that they make to a training.

The project is trained in folders beside the caches, once with data/annotations and once with none of it, with the same
parameters, seed, base encoder and mined negatives. Judgements take rows away (bad queries), add some (false negatives
that become positives) and change others (rewrites, negatives, grades), so the sets come out at different sizes, and
more rows would mean more steps. The larger set of a kind is therefore cut to the smaller by a seeded sample: the
question is what the judgements bought at equal size, and a row that they saved is worth no more than one that they
took away. The dev sets, by which a checkpoint is chosen, stay as the judgements leave them.

All encoders are measured on the same suites; the set's own held-out queries, and what answers them, hang on no
judgement. The contamination gate of balance stands before every training.

One row more or less makes a training end elsewhere, by as much as a few judgements are worth. So each of the two is
trained several times, the pairs differing in shared.seed, and the interval holds that chance too.

Reads   data/annotations, and what curate, balance, train and evaluate read (dvc.yaml)
Writes  reports/roi.json; .cache/roi (tables, scores and stamps, so that a run that was killed goes on)
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import dataframely as dy
import polars as pl
import typer

from nestling.cli import say
from nestling.errors import UserError
from nestling.params import read_params
from nestling.review.answers import read_answers
from nestling.review.roi import (
    Weighing,
    compare_pairs,
    compare_queries,
    counted,
    in_words,
    shown,
    table,
    told_of_sizes,
)
from nestling.review.sizes import KINDS, UNCUT, equalise
from nestling.review.variants import (
    ANNOTATIONS,
    PARAMS,
    Declared,
    Step,
    alone,
    build,
    declared,
    digest,
    key_of,
    lay,
    remove,
    run_stage,
    stage_key,
)
from nestling.tables.evaluation import PairScore, QueryScore
from nestling.tables.io import read_table, write_json

OUT, WORK = Path("reports/roi.json"), Path(".cache/roi")
STAGES = ("curate", "balance", "train", "evaluate")
WHAT = (
    "tuned encoders raised with people's judgements minus those raised without, same seeds and sizes; 95% interval "
    "over queries or pairs (paired bootstrap) and, from two trainings up, over trainings (Student's t)"
)


@dataclass(frozen=True)
class Pair:
    """A training without judgements and one with them, by the same seed.

    Attributes:
        home: the folder that holds both projects.
        params: of both.
        stages: that run in both.
        guard: file descriptor that a stage holds open as long as it lives.
    """

    home: Path
    params: dict[str, Any]
    stages: dict[str, Declared]
    guard: int

    @property
    def folders(self) -> tuple[Path, Path]:
        """The projects without and with judgements."""
        return self.home / "without", self.home / "with"

    @property
    def sizes(self) -> Path:
        """The file that says what was cut."""
        return self.home / "sizes.json"


def roi(
    trainings: Annotated[int, typer.Option(min=1, help="How often to train each way.")] = 3,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what earlier runs have done.")] = False,
) -> None:
    """Train with and without people's judgements; print the difference per 100 of them, with its 95% interval."""
    params = read_params(PARAMS)
    if not counted(read_answers(ANNOTATIONS)[0]):
        raise UserError(
            f"{ANNOTATIONS} holds no judgements yet: let people judge what data/queue holds, then come back"
        )
    with alone(WORK) as guard:
        for home in WORK.glob("*/") if fresh else ():
            remove(home)
        pairs = [pair(number, params, guard) for number in range(trainings)]
        ends = [end for one in pairs for end in plan(one)]
        for end in ends:
            build(end)
        if [end.key for one in pairs for end in plan(one)] != [end.key for end in ends]:
            raise UserError("the project's artifacts changed while the judgements were weighed: run the command again")
        report = weighed(pairs)
        for folder in (folder for one in pairs for folder in one.folders):
            remove(folder / "models/tuned")
            remove(folder / ".cache")
    write_json(report, OUT)
    typer.echo("\n".join([f"what {report['judgements']} judgements bought", *table(report), "", *report["in_words"]]))


def pair(number: int, params: dict[str, Any], guard: int) -> Pair:
    """Return the pair of projects for a training, laid out to run in; the first has the project's own seed."""
    shared = params.get("shared")
    if not isinstance(shared, dict) or not isinstance(shared.get("seed"), int):
        raise UserError(f"{PARAMS}: shared.seed is missing or is no whole number")
    seeded = {**params, "shared": {**shared, "seed": shared["seed"] + number}}
    found = Pair(WORK / str(number + 1), seeded, declared(STAGES, seeded), guard)
    for folder, annotations in zip(found.folders, (None, ANNOTATIONS), strict=True):
        lay(folder, found.stages, seeded, annotations)
    return found


def plan(of: Pair) -> list[Step]:
    """Return the last step of each of the two projects, from which all others are reached."""
    seed = of.params["shared"]["seed"]
    sets = tuple(balanced(of, folder) for folder in of.folders)
    code = [digest(Path(f"nestling/review/{name}.py")) for name in ("sizes", "variants")]
    outs = tuple(folder / "data/balanced" for folder in of.folders)
    key = key_of(code, seed, [step.key for step in sets])
    equal = Step("equal", of.home, key, (of.sizes, *outs), partial(_equal, of), sets)
    trained = [stage_step("train", of, folder, (equal,)) for folder in of.folders]
    return [stage_step("evaluate", of, step.folder, (step,)) for step in trained]


def stage_step(name: str, of: Pair, folder: Path, after: tuple[Step, ...]) -> Step:
    """Return the step that runs a stage in a folder."""
    outs = of.stages[name].outs

    def work() -> None:
        say(f"roi: training {of.home.name} {folder.name} judgements: {name}")
        run_stage(name, folder, outs, of.guard)

    key = stage_key(name, folder, of.stages, after)
    return Step(name, folder, key, tuple(folder / out for out in outs), work, after)


def balanced(of: Pair, folder: Path) -> Step:
    """Return the step after which a folder's balanced sets lie aside, to be cut."""
    whole = stage_step("balance", of, folder, (stage_step("curate", of, folder, ()),))
    aside = folder / UNCUT / "balanced"

    def work() -> None:
        whole.work()
        remove(folder / UNCUT)
        aside.parent.mkdir()
        (folder / "data/balanced").rename(aside)

    return Step(whole.name, folder, whole.key, (aside, folder / "data/heldout"), work, whole.after)


def _equal(of: Pair) -> None:
    say(f"roi: training {of.home.name}: sets of one size")
    write_json(equalise(*of.folders, of.params["shared"]["seed"]), of.sizes)


def weighed(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return the numbers of reports/roi.json; the sizes are those of the first training."""
    first = pairs[0]
    judgements = counted(read_answers(first.folders[1] / ANNOTATIONS)[0])
    how = Weighing(judgements, first.params["shared"]["seed"], first.params["evaluate"]["replicates"])
    report: dict[str, Any] = {
        "what": WHAT,
        "judgements": judgements,
        "trainings": len(pairs),
        "seed": how.seed,
        "replicates": how.replicates,
        "sizes": json.loads(first.sizes.read_text(encoding="utf-8")),
        "retrieval": compare_queries(*scores(pairs, "queries", QueryScore), how),
        "sts": compare_pairs(*scores(pairs, "pairs", PairScore), how),
    }
    sets = [told_of_sizes(kind, report["sizes"][kind]) for kind in KINDS]
    return report | {"in_words": [*sets, *(in_words(name, figures) for name, figures in shown(report))]}


def scores(pairs: Sequence[Pair], name: str, schema: type[dy.Schema]) -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """Return a table of scores of each training without judgements, and of each with them."""

    def side(place: int) -> list[pl.DataFrame]:
        return [read_table(one.folders[place] / f"data/scores/{name}.parquet", schema) for one in pairs]

    return side(0), side(1)
