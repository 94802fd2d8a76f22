"""The command `nestling`: what people do by hand around the pipeline that `dvc repro` runs."""

from collections.abc import Sequence

import typer

from nestling.cli import one_sentence
from nestling.commands import add, review
from nestling.commands.doctor import doctor
from nestling.commands.promote import promote
from nestling.commands.show import show

app = typer.Typer(
    name="nestling",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(add.app, name="add")
app.add_typer(review.app, name="review")
app.command()(doctor)
app.command()(promote)
app.command()(show)


@app.callback()
def nestling() -> None:
    """Raise nested sentence encoders from your own documents: bring data, review it, rebuild with `dvc repro`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; what a person can mend ends in one sentence and exit code 1."""
    with one_sentence():
        app(args=arguments, prog_name="nestling")


if __name__ == "__main__":
    main()
