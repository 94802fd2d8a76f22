"""`nestling add`: bring documents, an evaluation suite, graded sentence pairs or a hub dataset into a set."""

from pathlib import Path
from typing import Annotated

import typer

from nestling.commands.add_beir import bring_beir
from nestling.commands.add_files import bring_files
from nestling.commands.add_hub import HubSource, bring_hub
from nestling.commands.add_sts import bring_sts
from nestling.commands.landing import Target, set_name

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SetName = Annotated[str | None, typer.Option("--set", help="Set to add to, data/raw/SET; made if it is new.")]
Replace = Annotated[bool, typer.Option("--replace", help="Overwrite files of the set that have other content.")]
Use = Annotated[bool, typer.Option("--use", help="Also write the set into params.yaml (shared.set).")]
Licence = Annotated[str | None, typer.Option(help="Licence of all documents of the set, such as CC0-1.0.")]
Language = Annotated[str | None, typer.Option(help="Language of all documents of the set, ISO 639-1.")]


@app.callback()
def add() -> None:
    """Bring data into a set; docs/sets.md describes what a set is."""


@app.command()
def files(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with documents.")],
    name: SetName = None,
    licence: Licence = None,
    language: Language = None,
    use: Use = False,
    replace: Replace = False,
) -> None:
    """Copy documents at any depth: text, Markdown, HTML, PDF, office files, mail, tables (docs/sets.md lists them)."""
    bring_files(folder, Target(set_name(name, folder.resolve().name), replace, use, licence, language))


@app.command()
def beir(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with corpus.jsonl, queries.jsonl and qrels/.")],
    name: SetName = None,
    split: Annotated[str, typer.Option(help="Which qrels: DIR/qrels/SPLIT.tsv.")] = "test",
    suite: Annotated[str | None, typer.Option(help="Name of the suite; the set's, if left out.")] = None,
    use: Use = False,
    replace: Replace = False,
) -> None:
    """Take a dataset in BEIR's layout: its corpus as documents, its queries to evaluate with, never to train on."""
    target = Target(set_name(name, folder.resolve().name), replace, use)
    bring_beir(folder, target, split, suite or target.name)


@app.command()
def sts(
    tables: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV or TSV: sentence1, sentence2, score.")],
    name: Annotated[str, typer.Option("--set", help="Set to add to, data/raw/SET.")],
    evaluate: Annotated[bool, typer.Option("--eval", help="Evaluate with these pairs, never train on them.")] = False,
    scale: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Lowest and highest score, if the scores do not show it."),
    ] = None,
    replace: Replace = False,
) -> None:
    """Copy graded sentence pairs, to train on or to evaluate with."""
    bring_sts(tables, Target(set_name(name, name), replace), evaluate=evaluate, scale=scale)


@app.command()
def hub(  # noqa: PLR0913 - an argument is an option of the command
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Dataset id on the hub, or a folder.")],
    column: Annotated[str, typer.Option(help="Column that holds the text.")],
    split: Annotated[str, typer.Option(help="Split to read.")],
    revision: Annotated[str | None, typer.Option(help="Commit of the dataset: 40 hex digits.")] = None,
    config: Annotated[str | None, typer.Option(help="Configuration of the dataset.")] = None,
    title_column: Annotated[str | None, typer.Option(help="Column that holds the title.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column that holds the id; else the content names it.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take no more rows than this.")] = None,
    name: SetName = None,
    licence: Licence = None,
    language: Language = None,
    use: Use = False,
    replace: Replace = False,
) -> None:
    """Take the texts of a dataset at one revision."""
    source = HubSource(dataset, revision or "", config, split, column, title_column, id_column, limit)
    bring_hub(source, Target(set_name(name, Path(dataset).name), replace, use, licence, language))
