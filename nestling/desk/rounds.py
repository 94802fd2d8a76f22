"""A round's files: what a desk gives is merged into data/annotations/<round>.jsonl, whole or not at all.

What a desk no longer has (a record deleted, an annotator removed, a server set up anew) stays in the file; what
somebody took back (a submitted answer made a draft, or discarded) goes. An answer that is given again unchanged keeps
its line, so that a pull changes bytes only where people changed their minds.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nestling.desk.interface import TO_REFEREES, Given, Pulled, Shown
from nestling.errors import UserError
from nestling.tables.io import write_text

ROUND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_LONELY = re.compile(r"[\ud800-\udfff]")  # half a surrogate pair, which JSON may hold and UTF-8 may not
Unit = tuple[str, str, bool]  # record_id, annotator_id or else annotator, whether as a referee
Lines = dict[str, dict[str, Any]]  # question -> line


@dataclass(frozen=True)
class Merged:
    """What a pull did to a round.

    Attributes:
        answers: lines in the file now.
        added: answers that are new, or that replace another answer to their question.
        withdrawn: answers that are there no longer: taken back, cleared, or replaced.
        kept: answers that the desk knows no more.
    """

    answers: int
    added: int
    withdrawn: int
    kept: int


def check_round(name: str) -> str:
    """Return a round's name, which becomes the names of files and datasets.

    Raises:
        UserError: it is not made of letters, digits, dots, hyphens and underlines, or ends like a file of records.
    """
    if not ROUND.fullmatch(name) or name.endswith(".records"):
        raise UserError(
            f"review.round is {name!r}: use letters, digits, '-', '_' and '.', for it becomes the name of a file"
        )
    return name


def save(pulled: Pulled, folder: Path, name: str) -> Merged:
    """Merge what a desk gave into the files of a round.

    Raises:
        UserError: a file cannot be read as text.
    """
    check_round(name)
    records, answers = folder / f"{name}.records.jsonl", folder / f"{name}.jsonl"
    before, foreign = _read(answers)
    told = _told(pulled.given, _known_names(before))
    after = {unit: _kept(before.get(unit, {}), lines) for unit, lines in (before | told).items()}
    # records first: an answer whose record nobody knows would be of no use
    _write(records, _shown(records, pulled.shown))
    _write(answers, [*_sorted(after), *sorted(foreign)])
    return _counted(before, after, set(told))


def _told(given: Iterable[Given], names: Mapping[str, str]) -> dict[Unit, Lines]:
    """Return what each person says of each record now, which may lie in two piles: the last word by question.

    Somebody who was taken from the desk goes by the name that the file knows.
    """
    told: dict[Unit, Lines] = {}
    for one in sorted(given, key=lambda one: one.submitted_at):
        unit = one.record_id, one.annotator_id or one.annotator, one.pile in TO_REFEREES
        gone = one.annotator == one.annotator_id
        name = names.get(one.annotator_id, one.annotator) if gone else one.annotator
        told.setdefault(unit, {}).update(_lines(one, name))
    return told


def _known_names(units: Mapping[Unit, Lines]) -> dict[str, str]:
    every = (line for lines in units.values() for line in lines.values())
    return {line["annotator_id"]: line["annotator"] for line in every if "annotator_id" in line}


def _lines(given: Given, name: str) -> Lines:
    """Return what a person said of a record; nothing unless it was submitted."""
    if given.status != "submitted":
        return {}
    whose: dict[str, Any] = {"annotator": name, "status": given.status, "submitted_at": given.submitted_at}
    whose |= {"annotator_id": given.annotator_id} if given.annotator_id else {}
    whose |= {"referee": True} if given.pile in TO_REFEREES else {}
    return {
        question: {"record_id": given.record_id, "question": question, "value": value}
        | whose
        | ({"suggested": True} if question in given.suggested and given.pile not in TO_REFEREES else {})
        for question, value in given.values.items()
    }


def _kept(old: Lines, new: Lines) -> Lines:
    """Return the new lines; an answer that is given again unchanged keeps its time."""
    same = {question for question, line in new.items() if question in old and old[question]["value"] == line["value"]}
    return {
        question: line | {"submitted_at": old[question]["submitted_at"]} if question in same else line
        for question, line in new.items()
    }


def _counted(before: Mapping[Unit, Lines], after: Mapping[Unit, Lines], told: set[Unit]) -> Merged:
    old, new = (
        {(unit, question): line["value"] for unit, lines in units.items() for question, line in lines.items()}
        for units in (before, after)
    )
    nothing = object()
    return Merged(
        answers=len(new),
        added=sum(old.get(key, nothing) != value for key, value in new.items()),
        withdrawn=sum(new.get(key, nothing) != value for key, value in old.items()),
        kept=sum(unit not in told for unit, _ in new),
    )


def _read(path: Path) -> tuple[dict[Unit, Lines], list[str]]:
    """Return the answers of a file by unit and question, and the lines that are none of ours, as they stand."""
    units: dict[Unit, Lines] = defaultdict(dict)
    foreign = []
    for text in _text(path):
        line = _parsed(text)
        if line is None:
            foreign.append(text)
        else:
            unit = line["record_id"], line.get("annotator_id") or line["annotator"], line.get("referee") is True
            units[unit][line["question"]] = line
    return dict(units), foreign


def _text(path: Path) -> Iterator[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8: mend it, or `git checkout {path}`, and pull again") from None
    yield from (line.strip() for line in lines if line.strip())


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    wanted = ("record_id", "question", "annotator", "submitted_at", "status")
    if not isinstance(line, dict) or "value" not in line or not all(isinstance(line.get(key), str) for key in wanted):
        return None
    if not isinstance(line.get("annotator_id", ""), str):
        return None
    return line


def _shown(path: Path, shown: Iterable[Shown]) -> list[str]:
    """Return the lines of the records that a file has or a desk showed."""
    known = {}
    for text in _text(path):
        try:
            known[str(json.loads(text)["record_id"])] = text
        except (ValueError, RecursionError, TypeError, KeyError):
            known[text] = text  # none of ours: kept
    for one in shown:
        record = {"record_id": one.record_id, "query": one.query, "passage_id": one.passage_id}
        known[one.record_id] = _json(record | {"candidates": sorted(one.candidates)})
    return [known[key] for key in sorted(known)]


def _sorted(units: Mapping[Unit, Lines]) -> list[str]:
    lines = [line for by_question in units.values() for line in by_question.values()]
    key = ("record_id", "question", "annotator")
    lines.sort(key=lambda line: (*(line[name] for name in key), line.get("referee") is True))
    return [_json(line) for line in lines]


def _json(line: dict[str, Any]) -> str:
    # a lonely surrogate, which only JSON can carry, stays an escape
    return _LONELY.sub(lambda half: f"\\u{ord(half[0]):04x}", json.dumps(line, ensure_ascii=False))


def _write(path: Path, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    if text != (path.read_text(encoding="utf-8") if path.exists() else ""):
        write_text(text, path)
