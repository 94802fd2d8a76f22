"""The response cache: no answer is paid for twice.

Two files. The journal holds every answer that this workspace ever got: it only grows, a line at a time, under a lock,
so that any number of processes may write and a kill costs at most the line being written. A process takes in hand what
it asks, and the others do not ask it meanwhile. The artifact, which DVC versions, holds exactly the answers that the
present tables rest on, sorted by key: the same bytes however often a run was killed. What `dvc pull` brought in an
artifact is taken into the journal before anything is asked.
"""

import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Self

from pydantic import TypeAdapter, ValidationError

from nestling.errors import UserError
from nestling.llm.backend import ChatAnswer, ChatRefusal, Finish, Outcome, Reason, canonical
from nestling.tables.io import replacing

_HEAD, _TAIL = re.compile(rb'\{"key":"(\w{64})",'), b"}\n"
_BATCH = 1000  # lines of an artifact that are held in memory
_SYNC_EVERY = 2.0  # seconds of answers that a power cut may cost; a kill costs none


@dataclass(frozen=True)
class Entry:
    """A kept answer: all of it that its request decides."""

    text: str
    finish: Finish | Literal["refused"]
    prompt_tokens: int
    completion_tokens: int

    @classmethod
    def of(cls, answer: ChatAnswer) -> Self:
        """Return the entry of an answer; what no file can hold (lone surrogates) becomes a question mark."""
        text = answer.text.encode("utf-8", "replace").decode("utf-8")
        return cls(text, answer.finish, answer.prompt_tokens, answer.completion_tokens)

    def line(self, key: str) -> bytes:
        """Return the entry as a line of a file, its key first."""
        return canonical({"key": key} | asdict(self)).encode() + b"\n"

    @classmethod
    def of_refusal(cls, refusal: ChatRefusal) -> Self:
        """Return the entry of a refusal, which costs no tokens."""
        detail = refusal.detail.encode("utf-8", "replace").decode("utf-8")
        return cls(f"{refusal.reason}: {detail}", "refused", 0, 0)

    def outcome(self, key: str, cached_tokens: int = 0) -> Outcome:
        """Return what became of the request that the caller calls `key`."""
        if self.finish == "refused":
            reason, _, detail = self.text.partition(": ")
            return ChatRefusal(key, _REASON.validate_python(reason), detail)
        return ChatAnswer(key, self.text, self.finish, self.prompt_tokens, self.completion_tokens, cached_tokens)


class Journal:
    """Every answer that this workspace ever got, by the digest of its request; memory holds places, not texts.

    Attributes:
        torn: lines that a kill or a full disk had cut, and that were passed over.
    """

    def __init__(self, path: str | Path) -> None:
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._out = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._in = file.open("rb")
        # a file of its own: a process loses all its locks on a file as soon as it closes that file anywhere
        self._claims = os.open(file.with_name(f"{file.name}.claims"), os.O_WRONLY | os.O_CREAT, 0o644)
        self._places: dict[bytes, int] = {}
        self._read_to = self.torn = 0
        self._synced = time.monotonic()
        with self._alone():
            self._mend()

    def __contains__(self, key: str) -> bool:
        return key.encode() in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.fsync(self._out)
        os.close(self._out)
        os.close(self._claims)
        self._in.close()

    def refresh(self) -> None:
        """Take in what was written since, by this process or another."""
        self._in.seek(self._read_to)
        while (line := self._in.readline()).endswith(b"\n"):
            if (head := _HEAD.match(line)) and line.endswith(_TAIL):
                self._places[head[1]] = self._read_to
            else:
                self.torn += 1
            self._read_to += len(line)

    def get(self, key: str) -> Entry | None:
        """Return the entry of a key, or None where there is none."""
        place = self._places.get(key.encode())
        if place is None:
            return None
        self._in.seek(place)
        entry = _entry(self._in.readline(), key)
        if entry is None:
            del self._places[key.encode()]  # so that the next answer is appended, and stands for it
        return entry

    def add(self, entries: Iterable[tuple[str, Entry]], anew: bool = False) -> None:
        """Append the entries whose key is not there yet; an entry that is there stands, unless they come `anew`.

        Raises:
            OSError: the disk is full, among others; what was there stays.
        """
        with self._alone():
            self._mend()
            fresh = {key: entry for key, entry in entries if anew or self.get(key) is None}
            self._write(b"".join(entry.line(key) for key, entry in fresh.items()))
            self.refresh()
        if time.monotonic() - self._synced > _SYNC_EVERY:
            os.fsync(self._out)
            self._synced = time.monotonic()

    def claim(self, key: str) -> bool:
        """Take a request in hand; return whether no other process has it. It is let go when this process ends, too."""
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(key))
        except (BlockingIOError, PermissionError):  # POSIX allows both
            return False
        return True

    def let_go(self, key: str | None = None) -> None:
        """Let go of a request that this process has in hand, or of all."""
        fcntl.lockf(self._claims, fcntl.LOCK_UN, *((1, _byte(key)) if key else (0, 0)))

    def _mend(self) -> None:
        self.refresh()
        if os.fstat(self._out).st_size > self._read_to:  # whoever wrote last died over its line
            self._write(b"\n")
            self.refresh()

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._out, data) :]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.flock(self._out, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._out, fcntl.LOCK_UN)


def take_in(artifact: str | Path, journal: Journal) -> None:
    """Have the journal say what an artifact says, if there is one; what else it holds stays.

    Two machines may answer the same request in two ways: what is versioned stands, so that a checkout is rebuilt as it
    was.

    Raises:
        UserError: a line of the artifact is not an entry.
    """
    if not Path(artifact).exists():
        return
    with Path(artifact).open("rb") as file:
        lacking = _lacking(file, artifact, journal)
        while batch := list(islice(lacking, _BATCH)):
            journal.add(batch, anew=True)


def _lacking(lines: Iterable[bytes], artifact: str | Path, journal: Journal) -> Iterator[tuple[str, Entry]]:
    for number, line in enumerate(lines, 1):
        key = head[1].decode() if (head := _HEAD.match(line)) else ""
        entry = _entry(line, key)
        if entry is None and key and journal.get(key):
            continue
        if entry is None:
            raise UserError(
                f"{artifact} holds a line that is not an answer (line {number}): "
                f"bring the file back with `dvc checkout {artifact}`, or remove it to ask again what the journal lacks"
            )
        if journal.get(key) != entry:
            yield key, entry


def write_artifact(journal: Journal, keys: Iterable[str], artifact: str | Path) -> None:
    """Write the entries of some keys of the journal, sorted, whole or not at all."""
    with replacing(artifact) as temporary, temporary.open("wb") as file:
        for key in sorted(set(keys)):
            if entry := journal.get(key):
                file.write(entry.line(key))


def _byte(key: str) -> int:
    return int(key[:15], 16)  # the byte of an empty file whose lock stands for the request


_ENTRY = TypeAdapter(Entry)
_REASON: TypeAdapter[Reason] = TypeAdapter(Reason)


def _entry(line: bytes, key: str) -> Entry | None:
    head = _HEAD.match(line)
    if head is None or head[1] != key.encode():
        return None
    try:
        return _ENTRY.validate_json(line, strict=True)
    except ValidationError:
        return None  # cut, or edited by hand: as if it were not there
