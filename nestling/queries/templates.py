"""Prompts: what an LLM is told so that it writes queries for a passage, or grades them; one file a language.

Knows no engine and reads no answer. What all requests share comes first and is built once, so that an engine can keep
it between them. Texts are filled in one pass: nothing that stands in a passage is ever taken for a placeholder.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from nestling.errors import UserError
from nestling.params import Strict, read_yaml

PROMPTS = Path(__file__).parent / "prompts"
KINDS = ("question", "keywords", "description", "claim")
CRITERIA = ("answerable", "specific", "fluent", "language")
Message = tuple[str, str]  # (role, content)

_PLACEHOLDERS = {"passage", "wanted", "query", "words", "n"}
_MARKUP = re.compile(r"<(?=\S)|\[(?=[a-z]?[A-Z_/]+\])")
T = TypeVar("T")


def _holding(*names: str) -> AfterValidator:
    """Check that a text holds these placeholders and no other; braces round anything but a word are plain text."""

    def check(text: str) -> str:
        found = set(re.findall(r"\{(\w+)\}", text))
        if lacking := [name for name in names if name not in found]:
            raise ValueError(f"lacks the placeholder {{{lacking[0]}}}")
        if strange := sorted(found - set(names) if names else found & _PLACEHOLDERS):
            raise ValueError(f"holds {{{strange[0]}}}, which is no placeholder there")
        return text

    return AfterValidator(check)


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text.strip()


def _expression(text: str) -> str:
    try:
        everywhere = re.compile(text, re.IGNORECASE).search("")
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if everywhere:
        raise ValueError("matches the empty text, and so every query")
    return text


Text = Annotated[str, AfterValidator(_not_empty)]
Fixed = Annotated[Text, _holding()]
Expression = Annotated[Text, AfterValidator(_expression)]


class PerKind(Strict, Generic[T]):
    """Something for each kind of query."""

    question: T
    keywords: T
    description: T
    claim: T

    def __getitem__(self, kind: str) -> T:
        """Return what is for that kind."""
        found: T = getattr(self, kind)
        return found


class Number(Strict):
    """How a number of queries is said."""

    one: Fixed
    many: Annotated[Text, _holding("n")]


class Example(Strict):
    """A passage and excellent queries for it."""

    passage: Text
    summary: Text
    queries: PerKind[Annotated[tuple[Text, ...], Field(min_length=1)]]


class Grades(Strict):
    """A judge's answer: 0 is worst, 4 is best."""

    answerable: int = Field(ge=0, le=4)
    specific: int = Field(ge=0, le=4)
    fluent: int = Field(ge=0, le=4)
    language: int = Field(ge=0, le=4)


class GradedQuery(Strict):
    """A passage, a query and the grades that it deserves."""

    passage: Text
    query: Text
    grades: Grades


class Judge(Strict):
    """How an LLM is asked to grade a query."""

    system: Fixed
    ask: Annotated[Text, _holding("passage", "query")]
    examples: tuple[GradedQuery, ...] = Field(min_length=1)


class Template(Strict):
    """All that an LLM is told in one language.

    Attributes:
        name: the language's own name.
        system: role and rules; ends where the list of the kinds begins.
        kinds: what a query of that kind is.
        summary: asks for a summary of {words} words before the queries.
        ask: the request, with {passage} and {wanted}.
        wanted: how many queries of a kind.
        examples: shown before the first request.
        refers_to_text: regular expressions, whatever the case, of queries that point at the passage as a text.
        names: proper names of the examples, which are in no other passage.
        labels: what may stand before a colon where a model names what it writes, such as `question`.
        no_query: regular expressions, whatever the case, of what a model says instead of a query.
        judge: the same for grading.
    """

    name: Text
    system: Fixed
    kinds: PerKind[Fixed]
    summary: Annotated[Text, _holding("words")]
    ask: Annotated[Text, _holding("passage", "wanted")]
    wanted: PerKind[Number]
    examples: tuple[Example, ...] = Field(min_length=1)
    refers_to_text: tuple[Expression, ...]
    names: tuple[Text, ...]
    labels: tuple[Text, ...]
    no_query: tuple[Expression, ...]
    judge: Judge


def load_template(language: str, folder: Path = PROMPTS) -> Template:
    """Return the template of a language (ISO 639-1).

    Raises:
        UserError: there is no such file in `folder`, or a field is missing, unknown or wrong.
    """
    path = folder / f"{language}.yaml"
    if not re.fullmatch("[a-z]{2}", language) or not path.is_file():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise UserError(
            f"there is no prompt template for {language!r} (there are: {there}): "
            f"copy {folder}/en.yaml to <ISO 639-1 code>.yaml in the same folder and translate it"
        )
    tree = read_yaml(path)
    try:  # through JSON: strict there still takes a list for a tuple and a mapping for a model
        given = json.dumps(tree, default=str)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is not a mapping of names to texts: {error}") from None
    try:
        return Template.model_validate_json(given)
    except ValidationError as error:
        raise UserError(f"{path}: " + "; ".join(_sentence(problem) for problem in error.errors())) from None


def _sentence(problem: Any) -> str:
    name = ".".join(str(step) for step in problem["loc"]) or "the file"
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{name} is not a field of a prompt template"
    if problem["type"] == "value_error":
        return f"{name} {problem['ctx']['error']}"
    return f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def neutral(text: str) -> str:
    """Return `text` so that nothing in it can act as markup of a chat: a blank follows each bracket that opens a tag.

    Neither an engine's special tokens (<|im_end|>, </s>, <<SYS>>, [INST]) nor the template's own closing mark can
    then stand in a prompt. Only the prompt holds the text so; in the tables the passage stays as it is.
    """
    return _MARKUP.sub(r"\g<0> ", text)


class Writer:
    """Asks for queries.

    Args:
        template: of the passages' language.
        kinds: of queries that any request may want, in the order of the answer.
        summary_words: ask for a summary of so many words before the queries; 0 for none.

    Attributes:
        shared: what every request begins with.
    """

    def __init__(self, template: Template, kinds: Sequence[str], summary_words: int) -> None:
        if not kinds or len(set(kinds)) < len(kinds) or not set(kinds) <= set(KINDS):
            raise ValueError(f"kinds are {list(kinds)}: choose some of {list(KINDS)}, each once")
        self.template, self.kinds, self.summary_words = template, tuple(kinds), summary_words
        lines = [template.system, *(f'- "{kind}": {template.kinds[kind]}' for kind in self.kinds)]
        if summary_words:
            lines.append(_filled(template.summary, words=str(summary_words)))
        turns = [message for example in template.examples for message in self._turns(example)]
        self.shared: tuple[Message, ...] = (("system", "\n".join(lines)), *turns)

    def messages(self, passage: str, wanted: Mapping[str, int]) -> tuple[Message, ...]:
        """Return the conversation that asks for so many queries of each kind; of a kind left out, for none."""
        return (*self.shared, ("user", self._ask(passage, wanted)))

    def _turns(self, example: Example) -> tuple[Message, Message]:
        queries = {kind: example.queries[kind] for kind in self.kinds}
        answer = {"summary": example.summary} | queries if self.summary_words else queries
        asked = self._ask(example.passage, {kind: len(texts) for kind, texts in queries.items()})
        return ("user", asked), ("assistant", _compact(answer))

    def _ask(self, passage: str, wanted: Mapping[str, int]) -> str:
        if not set(wanted) <= set(self.kinds) or min(wanted.values(), default=0) < 0 or not any(wanted.values()):
            raise ValueError(f"wanted is {dict(wanted)}: name at least one query of {list(self.kinds)}")
        numbers = {kind: wanted[kind] for kind in self.kinds if wanted.get(kind)}
        said = [f'"{kind}": {self._number(kind, number)}' for kind, number in numbers.items()]
        return _filled(self.template.ask, passage=neutral(passage), wanted=", ".join(said))

    def _number(self, kind: str, number: int) -> str:
        forms = self.template.wanted[kind]
        return forms.one if number == 1 else _filled(forms.many, n=str(number))


class Grader:
    """Asks for grades.

    Args:
        template: of the passages' language.

    Attributes:
        shared: what every request begins with.
    """

    def __init__(self, template: Template) -> None:
        self.judge = template.judge
        turns = [message for example in self.judge.examples for message in self._turns(example)]
        self.shared: tuple[Message, ...] = (("system", self.judge.system), *turns)

    def messages(self, passage: str, query: str) -> tuple[Message, ...]:
        """Return the conversation that asks for the grades of a query."""
        return (*self.shared, ("user", self._ask(passage, query)))

    def _turns(self, example: GradedQuery) -> tuple[Message, Message]:
        asked = self._ask(example.passage, example.query)
        return ("user", asked), ("assistant", _compact(example.grades.model_dump()))

    def _ask(self, passage: str, query: str) -> str:
        return _filled(self.judge.ask, passage=neutral(passage), query=neutral(query))


def _filled(text: str, **values: str) -> str:
    return re.sub(rf"\{{({'|'.join(values)})\}}", lambda found: values[found[1]], text)


def _compact(answer: Mapping[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
