"""nestling review: the queue goes out to people, and what they say comes back into data/annotations."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from nestling.cli import say
from nestling.commands.review_effect import effect
from nestling.commands.review_roi import roi
from nestling.desk.interface import Pushed

ANNOTATIONS = Path("data/annotations")

app = typer.Typer(no_args_is_help=True, help="Have people judge the queue: in Argilla, or in spreadsheets.")
app.command()(effect)
app.command()(roi)


@app.command()
def push() -> None:
    """Send the queue to the desk that params.yaml names; what is there already stays as it is."""
    from nestling.desk.pushing import PushParams
    from nestling.desk.pushing import push as send  # late: other commands start without an encoder

    params = PushParams.load()
    tell(params.round, send(params))


def tell(round_name: str, piles: Iterable[Pushed]) -> None:
    """Say what a push did, and where people judge, most worth first."""
    for pushed in piles:
        if pushed.address:
            past = (
                f"; {pushed.past} that nobody judged are no longer in the queue and come last" if pushed.past else ""
            )
            say(f"{round_name}-{pushed.pile}: {pushed.added} records added, {pushed.there} were there{past}")
            say(f"  for annotators: {pushed.address}")


@app.command()
def pull() -> None:
    """Fetch what people said into data/annotations; pulling again changes nothing unless people did."""
    from nestling.desk.opening import opened
    from nestling.desk.progress import contradictions
    from nestling.desk.rounds import check_round, save
    from nestling.desk.settings import ReviewParams

    params = ReviewParams.load()
    name = check_round(params.round)
    with opened(params) as desk:
        pulled = desk.pull(name)
    merged = save(pulled, ANNOTATIONS, name)
    for line in contradictions(pulled):
        say(line)
    say(
        f"{ANNOTATIONS / name}.jsonl: {merged.answers} answers, {merged.added} new or changed, "
        f"{merged.withdrawn} replaced or taken back"
        + (f", {merged.kept} kept that the desk no longer has" if merged.kept else "")
    )
    if not merged.answers:
        say("nobody has submitted an answer yet: `nestling review status`")
    elif merged.added + merged.withdrawn:
        say("next: `dvc repro`, then `nestling review effect`; git keeps data/annotations, dvc.lock and reports")


Width = Annotated[float, typer.Option(min=0.01, max=0.99, help="Of a 95% interval that would do.")]


@app.command()
def status(width: Width = 0.1) -> None:
    """Say how far piles and annotators are, how much they agree, and how many more judgements an interval takes."""
    from nestling.desk.opening import opened
    from nestling.desk.progress import StatusParams, progress_lines, wished
    from nestling.desk.rounds import check_round

    params = StatusParams.load()
    name = check_round(params.round)
    with opened(params) as desk:
        pulled = desk.pull(name)
    typer.echo("\n".join(progress_lines(pulled, wished(ANNOTATIONS, params, width))))


@app.command()
def adjudicate() -> None:
    """Send what annotators disagree on to a referee; `pull` fetches the referee's word, which settles it."""
    from nestling.desk.adjudicating import referee_piles
    from nestling.desk.opening import opened
    from nestling.desk.rounds import check_round
    from nestling.desk.settings import ReviewParams
    from nestling.desk.wording import Wording

    params = ReviewParams.load()
    piles, unseen = referee_piles(Wording.load(params.language), ANNOTATIONS)
    if unseen:
        say(f"{unseen} disputed records cannot be shown: a passage of theirs is no longer in the corpus")
    if not any(pile.tasks for pile in piles):
        say("nothing is disputed and open: `nestling review pull` and `dvc repro` bring in new answers")
        return
    with opened(params) as desk:
        tell(params.round, desk.push(check_round(params.round), piles))
