"""Wordings: all that annotators read, whichever desk they sit at; one file a language.

Knows no desk and fills in nothing but a passage's letter.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError

from nestling.errors import UserError
from nestling.params import Strict, read_yaml

WORDINGS = Path(__file__).parent / "wordings"


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text.strip()


def _lettered(text: str) -> str:
    if re.findall(r"\{(.*?)\}", text) != ["letter"]:
        raise ValueError("must hold {letter}, once, and no other placeholder")
    return text


def _choice(text: str) -> str:
    if re.search('[,"]', text):
        raise ValueError("must hold no comma and no quotation mark, for it stands in a drop-down")
    return text


Text = Annotated[str, AfterValidator(_not_empty)]
Title = Annotated[str, Field(max_length=500), AfterValidator(_not_empty)]  # the lengths that a server takes
Choice = Annotated[str, Field(max_length=40), AfterValidator(_not_empty), AfterValidator(_choice)]  # of a drop-down
Description = Annotated[str, Field(max_length=1000), AfterValidator(_not_empty)]


class Fields(Strict):
    """Titles of what is shown; `said` is what annotators said, told to a referee; `rest` unfolds a long passage."""

    query: Title
    passage: Annotated[Title, AfterValidator(_lettered)]
    rest: Title
    sentence1: Title
    sentence2: Title
    said: Title


class Question(Strict):
    """What is asked."""

    title: Title
    description: Description


class Labels(Strict):
    """What a query may be called."""

    good: Choice
    vague: Choice
    not_answerable: Choice
    wrong_language: Choice

    def __getitem__(self, quality: str) -> str:
        """Return the shown words for a quality."""
        found: str = getattr(self, quality)
        return found


class QualityQuestion(Question):
    """What is asked of a query as such."""

    labels: Labels


class RelevanceQuestion(Question):
    """Which passages answer; `none` is the mark that none does."""

    none: Title


class Questions(Strict):
    """All that may be asked."""

    query_quality: QualityQuestion
    relevant: RelevanceQuestion
    rewrite: Question
    comment: Question
    similarity: Question


class Guidelines(Strict):
    """What to do and how to decide, in Markdown, with worked examples.

    `cut_out` is told beside `retrieval` where queries were cut out of the passages and nobody asked them.
    """

    retrieval: Text
    cut_out: Text
    sts: Text
    adjudication: Text


class SheetWords(Strict):
    """What only a spreadsheet needs.

    Attributes:
        guidelines: title of the worksheet.
        position: title of the column.
        none: a short word for "no passage answers".
        cut: ends a text that is longer than a cell can be.
        retrieval, sts: how a sheet is filled in, in Markdown.
    """

    guidelines: Annotated[
        str, Field(max_length=14, pattern=r"^[^\[\]:*?/\\\s]+$")
    ]  # a tab takes 31 signs, and not all
    position: Title
    none: Choice
    cut: Title
    retrieval: Text
    sts: Text


class Wording(Strict):
    """All that annotators read in one language; `name` is the language's own."""

    name: Text
    fields: Fields
    questions: Questions
    guidelines: Guidelines
    sheet: SheetWords

    def for_cut_out(self) -> Self:
        """Return the wording whose guidelines warn, before they say what to do, of queries that nobody asked."""
        words = self.guidelines
        first, mark, rest = words.retrieval.partition("\n## ")
        warned = f"{first}\n{words.cut_out}\n{mark}{rest}"
        return self.model_copy(update={"guidelines": words.model_copy(update={"retrieval": warned})})

    @classmethod
    def load(cls, language: str, folder: Path = WORDINGS) -> Self:
        """Return the wording of a language (ISO 639-1).

        Raises:
            UserError: there is no such file in `folder`, or a key is missing, unknown or wrong.
        """
        path = folder / f"{language}.yaml"
        if not re.fullmatch("[a-z]{2}", language) or not path.is_file():
            there = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
            raise UserError(
                f"review.language is {language!r}, in which annotators have nothing to read (there are: {there}): "
                f"copy {folder}/en.yaml to <ISO 639-1 code>.yaml in the same folder and translate it"
            )
        tree = read_yaml(path)
        try:  # through JSON: strict there still takes a mapping for a model
            given = json.dumps(tree, default=str)
        except (TypeError, ValueError) as error:
            raise UserError(f"{path} is not valid YAML: {error}") from None
        try:
            return cls.model_validate_json(given)
        except ValidationError as error:
            raise UserError(f"{path}: " + "; ".join(_sentence(problem) for problem in error.errors())) from None


def _sentence(problem: Any) -> str:
    name = ".".join(str(step) for step in problem["loc"]) or "the file"
    told = {"missing": "is missing", "extra_forbidden": "is not a key of a wording"}
    if problem["type"] == "value_error":
        return f"{name} {problem['ctx']['error']}"
    if problem["type"] in told:
        return f"{name} {told[problem['type']]}"
    return f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
