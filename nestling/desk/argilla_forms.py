"""Tasks and answers in Argilla's JSON: fields, questions and metadata of a dataset, records, responses. Pure.

Texts are shown as text. Argilla puts the text of a field into its page as HTML, so that it goes out escaped: what an
annotator reads is what stands in the corpus. A query and its passages are one field (nestling.desk.argilla_view). In
a dataset that was made before that was so they are a field each, the plain form, which it keeps to its end.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from html import escape, unescape
from typing import Any

from nestling.desk.argilla_view import view_of
from nestling.desk.interface import (
    LETTERS,
    NONE,
    TO_REFEREES,
    Given,
    PairTask,
    Pile,
    RetrievalTask,
    Shown,
    Suggestion,
    marked,
    most_passages,
)
from nestling.desk.wording import Wording
from nestling.tables.review import QUALITIES

VECTOR = "query_vector"
RECORD = "record"  # the field that shows a query and its passages
_TYPES = {str: "terms", int: "integer", float: "float"}
_METADATA = {  # name -> type; in the order in which they are offered
    "position": int,
    "purpose": str,
    "kind": str,
    "language": str,
    "origin": str,
    "margin": float,
    "stratum": str,
    "grade": float,
    "cosine": float,
    "data_version": str,
}
_FOR_ENGINEERS = ("margin", "stratum", "grade", "cosine")  # what annotators are not shown, lest it sway them
_AGENT = re.compile(r"[^a-zA-Z0-9_:./\s-]")  # what the server takes in no agent's name
_LONGEST_AGENT = 200
_FEWEST_VISIBLE = 3  # the least number of labels that the server can be told to show at once


class Form:
    """The dataset that holds a pile.

    Args:
        pile: what it holds.
        wording: what annotators read.
        fields: names of the fields that the dataset has, where it is there already.

    Raises:
        UserError: a task shows more passages than there are letters.
    """

    def __init__(self, pile: Pile, wording: Wording, fields: Collection[str] = ()) -> None:
        self._pile, self._wording = pile, wording
        self._pairs = pile.name.startswith("sts")
        self._plain = "query" in fields
        self._passages = most_passages(pile)
        self._dims = next((len(task.vector) for task in pile.tasks if task.vector is not None), 0)

    def dataset(self, name: str, workspace_id: str) -> dict[str, Any]:
        """Return the dataset without its parts; made_by marks what a push that ended may make anew."""
        return {
            "name": name,
            "workspace_id": workspace_id,
            "guidelines": self._guidelines(),
            "allow_extra_metadata": True,
            "distribution": {"strategy": "overlap", "min_submitted": self._pile.people},
            "metadata": {"made_by": "nestling"},
        }

    def parts(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield the fields, questions, metadata and vectors, by the name that each has in the server's paths."""
        yield "fields", list(self._fields())
        yield "questions", list(self._sts_questions() if self._pairs else self._retrieval_questions())
        yield "metadata-properties", list(self._metadata())
        yield "vectors-settings", list(self._vectors())

    def complaint(self, part: str, wanted: list[dict[str, Any]], there: Mapping[str, dict[str, Any]]) -> str:
        """Return how a dataset that exists does not fit, "" where it does.

        It may hold more fields and letters than are needed, and lack metadata, which then is not to be filtered by; a
        vector of other dimensions or another question does not do. Wordings may differ.
        """
        if part == "metadata-properties":
            return ""
        missing = [one["name"] for one in wanted if one["name"] not in there]
        if missing:
            return f"it has no {part} {', '.join(missing)}"
        if part == "questions":
            strange = [name for name, one in there.items() if one["required"] and name not in _names(wanted)]
            if strange:
                return f"it asks {', '.join(strange)}"
        told = (_difference(one, there[one["name"]]) for one in wanted)
        return next((difference for difference in told if difference), "")

    def record_of(self, task: RetrievalTask | PairTask, question_ids: Mapping[str, str]) -> dict[str, Any]:
        """Return a record as the server takes it.

        Args:
            task: to be judged.
            question_ids: the server's ids of the dataset's questions, by name.
        """
        said = {"said": _shown_as_text(task.said)} if task.said else {}
        metadata = {
            name: float(value) if _METADATA.get(name) is float else value for name, value in task.metadata.items()
        }
        record = {"external_id": task.record_id, "vectors": vectors_of(task)}
        if isinstance(task, PairTask):
            pair = {"sentence1": _shown_as_text(task.sentence1), "sentence2": _shown_as_text(task.sentence2)}
            return record | {"fields": pair | said, "metadata": metadata, "suggestions": []}
        letters = {passage_id: letter for letter, (passage_id, _) in zip(LETTERS, task.passages, strict=False)}
        shown = {
            "query": task.query,
            "passage_id": task.passage_id,
            "passage_ids": [passage_id for passage_id, _ in task.passages],
            "suggested": [one.question for one in task.suggestions],
        }
        return record | {
            "fields": (_plain(task, letters) if self._plain else {RECORD: view_of(task, self._wording)}) | said,
            "metadata": metadata | shown,
            "suggestions": [_suggestion(one, letters, question_ids) for one in task.suggestions],
        }

    def _guidelines(self) -> str:
        if self._pile.name in TO_REFEREES:
            return self._wording.guidelines.adjudication
        return self._wording.guidelines.sts if self._pairs else self._wording.guidelines.retrieval

    def _fields(self) -> Iterator[dict[str, Any]]:
        titles = self._wording.fields
        if self._pairs:
            yield _field("sentence1", titles.sentence1)
            yield _field("sentence2", titles.sentence2)
        elif not self._plain:
            yield _field(RECORD, titles.query, markdown=True)
        else:
            yield _field("query", titles.query)
            for letter in LETTERS[: self._passages]:
                yield _field(f"passage_{letter.lower()}", titles.passage.format(letter=letter), required=False)
        if self._pile.name in TO_REFEREES:  # last: who settles forms an opinion first
            yield _field("said", titles.said, required=False)

    def _retrieval_questions(self) -> Iterator[dict[str, Any]]:
        asked = self._wording.questions
        words = asked.query_quality.labels
        yield _question("query_quality", asked, _labels("label_selection", {word: words[word] for word in QUALITIES}))
        letters = {letter: letter for letter in LETTERS[: self._passages]} | {NONE: asked.relevant.none}
        yield _question("relevant", asked, _labels("multi_label_selection", letters))
        yield _question("rewrite", asked, {"type": "text", "use_markdown": False}, required=False)
        yield _question("comment", asked, {"type": "text", "use_markdown": False}, required=False)

    def _sts_questions(self) -> Iterator[dict[str, Any]]:
        asked = self._wording.questions
        options = [{"value": grade} for grade in range(6)]
        yield _question("similarity", asked, {"type": "rating", "options": options})
        yield _question("comment", asked, {"type": "text", "use_markdown": False}, required=False)

    def _metadata(self) -> Iterator[dict[str, Any]]:
        known = {name for task in self._pile.tasks for name in task.metadata}
        for name, kind in _METADATA.items():
            if name in known:
                yield {
                    "name": name,
                    "title": name.replace("_", " "),
                    "settings": {"type": _TYPES[kind]},
                    "visible_for_annotators": name not in _FOR_ENGINEERS,
                }

    def _vectors(self) -> Iterator[dict[str, Any]]:
        if self._dims:
            yield {"name": VECTOR, "title": VECTOR, "dimensions": self._dims}


def vectors_of(task: RetrievalTask | PairTask) -> dict[str, list[float]]:
    """Return the vector for "find similar", by its name; nothing where none is wanted."""
    return {} if task.vector is None else {VECTOR: [round(float(number), 6) for number in task.vector]}


def given_in(record: Mapping[str, Any], pile: str, names: Mapping[str, str]) -> Iterator[Given]:
    """Yield what each person said of a record; one who is no longer known goes by the server's id.

    A record that somebody else put there, without a name of ours or without its passages, says nothing.
    """
    for response in record["responses"] if is_ours(record) else ():
        submitted = response["status"] == "submitted"
        yield Given(
            record_id=record["external_id"],
            pile=pile,
            annotator=names.get(response["user_id"], response["user_id"]),
            status=response["status"],
            submitted_at=f"{response['updated_at']}Z",
            values=dict(_values(record, response["values"] or {})) if submitted else {},
            stray=submitted and _is_stray(record, response["values"] or {}),
            suggested=tuple((record["metadata"] or {}).get("suggested", ())),
            annotator_id=response["user_id"],
        )


def positions_to_renew(records: Iterable[Mapping[str, Any]], pile: Pile) -> list[dict[str, Any]]:
    """Return changes of the positions of records that nobody has answered, by the queue as it stands.

    One that is no longer in the queue loses its position, and so comes after all others.
    """
    places = {task.record_id: task.metadata.get("position") for task in pile.tasks}
    changes = []
    for record in records:
        metadata = {name: value for name, value in (record["metadata"] or {}).items() if name != "position"}
        now = places.get(record["external_id"])
        if is_ours(record) and not record["responses"] and now != (record["metadata"] or {}).get("position"):
            place = {} if now is None else {"position": now}
            changes.append({"external_id": record["external_id"], "metadata": metadata | place})
    return changes


def pending_in(records: Iterable[Mapping[str, Any]], annotators: Mapping[str, str]) -> dict[str, int]:
    """Return how many records wait for each annotator: those that need people still, and lack this one's word."""
    counts = dict.fromkeys(annotators, 0)
    for record in records:
        said = {one["user_id"] for one in record["responses"] if one["status"] in ("submitted", "discarded")}
        for person in counts.keys() - said if record["status"] == "pending" else ():
            counts[person] += 1
    return {annotators[person]: count for person, count in counts.items()}


def is_ours(record: Mapping[str, Any]) -> bool:
    """Return whether a record has a name, and where it shows a query, its words and the ids of its passages."""
    fields, metadata = record["fields"], record["metadata"] or {}
    known = "passage_ids" in metadata and ("query" in fields or "query" in metadata)
    return bool(record["external_id"]) and (known or not fields.keys() & {"query", RECORD})


def shown_in(record: Mapping[str, Any]) -> Iterator[Shown]:
    """Yield the record as it was shown, if passages were and somebody answered."""
    metadata = record["metadata"] or {}
    if record["responses"] and is_ours(record) and "passage_ids" in metadata:
        own, passages = metadata["passage_id"], metadata["passage_ids"]
        others = tuple(passage for passage in passages if passage != own)
        query = metadata["query"] if "query" in metadata else unescape(record["fields"]["query"])
        yield Shown(record["external_id"], query, own, others)


def _plain(task: RetrievalTask, letters: Mapping[str, str]) -> dict[str, str]:
    texts = {f"passage_{letters[passage_id].lower()}": _shown_as_text(text) for passage_id, text in task.passages}
    return {"query": _shown_as_text(task.query)} | texts


def _shown_as_text(text: str) -> str:
    return escape(text, quote=False)


def _values(record: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for question, answer in values.items():
        value = answer["value"]
        if question == "relevant":
            passages = marked(value, record["metadata"]["passage_ids"])
            if passages or NONE in value or not value:  # letters without a passage do not say that none answers
                yield question, passages
        elif not isinstance(value, str) or value.strip():  # a text that was cleared is no answer
            yield question, value


def _is_stray(record: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    marks = values.get("relevant", {}).get("value", [])
    shown = len((record["metadata"] or {}).get("passage_ids", ()))
    return (NONE in marks and len(marks) > 1) or any(mark not in (NONE, *LETTERS[:shown]) for mark in marks)


def _suggestion(one: Suggestion, letters: Mapping[str, str], question_ids: Mapping[str, str]) -> dict[str, Any]:
    value = one.value if isinstance(one.value, str) else [letters[passage_id] for passage_id in one.value]
    return {
        "question_id": question_ids[one.question],
        "type": "model",
        "value": value,
        "agent": _AGENT.sub("_", one.agent)[:_LONGEST_AGENT],
        "score": one.score,
    }


def _field(name: str, title: str, required: bool = True, markdown: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "required": required,
        "settings": {"type": "text", "use_markdown": markdown},
    }


def _question(name: str, asked: Any, settings: dict[str, Any], required: bool = True) -> dict[str, Any]:
    words = getattr(asked, name)
    return {
        "name": name,
        "title": words.title,
        "description": words.description,
        "required": required,
        "settings": settings,
    }


def _labels(kind: str, labels: Mapping[str, str]) -> dict[str, Any]:
    options = [{"value": value, "text": text} for value, text in labels.items()]
    every = {"visible_options": len(options)} if len(options) >= _FEWEST_VISIBLE else {}
    return {"type": kind, "options": options} | every


def _names(wanted: list[dict[str, Any]]) -> list[str]:
    return [one["name"] for one in wanted]


def _difference(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    name = wanted["name"]
    if wanted.get("dimensions") != there.get("dimensions"):
        return f"its vectors {name!r} have {there['dimensions']} dimensions and not {wanted['dimensions']}"
    if "settings" not in wanted:
        return ""
    mine, theirs = wanted["settings"], there["settings"]
    if mine["type"] != theirs["type"]:
        return f"its {name!r} is of the type {theirs['type']} and not {mine['type']}"
    lacking = {str(one["value"]) for one in mine.get("options", ())}
    lacking -= {str(one["value"]) for one in theirs.get("options", ())}
    return f"its question {name!r} lacks {', '.join(sorted(lacking))}" if lacking else ""
