"""The response cache: no response is paid for twice.

A SQLite database keeps every response that this workspace ever got. Each is committed as it comes: a kill loses none.
The artifact, which DVC versions, holds the responses that the present tables rest on as JSON Lines, sorted by key: the
same bytes however often a run was killed. What `dvc pull` brought in an artifact enters the cache before anything is
asked.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import StringConstraints, TypeAdapter, ValidationError

from nestling.errors import UserError
from nestling.llm.backend import ChatAnswer, ChatRefusal, Finish, Outcome, Reason, canonical
from nestling.tables.io import replacing

_TABLE = """
CREATE TABLE IF NOT EXISTS responses (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, finish TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
)
"""
_SELECT = "SELECT key, text, finish, prompt_tokens, completion_tokens FROM responses WHERE key = ?"
_LOCK_TIMEOUT = 60.0  # seconds to wait for another process that writes
_SYNC_EVERY = 2.0  # seconds of responses that a power cut may cost; a kill costs none


@dataclass(frozen=True)
class Response:
    """A cached response: all of it that its request decides.

    Attributes:
        key: the digest of the request.
        text: the answer, or, of a refusal, its reason and detail.
        finish: why it ended.
        prompt_tokens, completion_tokens: as the engine counted them.
    """

    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    text: str
    finish: Finish | Literal["refused"]
    prompt_tokens: int
    completion_tokens: int

    @classmethod
    def of(cls, outcome: Outcome, key: str) -> Self:
        """Return the response of an outcome; what no file can hold (lone surrogates) becomes a question mark."""
        if isinstance(outcome, ChatRefusal):
            return cls(key, _encodable(f"{outcome.reason}: {outcome.detail}"), "refused", 0, 0)
        return cls(key, _encodable(outcome.text), outcome.finish, outcome.prompt_tokens, outcome.completion_tokens)

    def outcome(self, key: str, cached_tokens: int = 0) -> Outcome:
        """Return the outcome of the request that the caller calls `key`."""
        if self.finish == "refused":
            reason, _, detail = self.text.partition(": ")
            return ChatRefusal(key, _REASON.validate_python(reason), detail)
        return ChatAnswer(key, self.text, self.finish, self.prompt_tokens, self.completion_tokens, cached_tokens)


_RESPONSE, _REASON = TypeAdapter(Response), TypeAdapter[Reason](Reason)


class ResponseCache:
    """Every response that this workspace ever got, by the digest of its request.

    Several processes may use it at once: of two responses to one request, the first stands.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the database, or create it.

        Raises:
            UserError: it is damaged, or cannot be opened. All methods raise this, for a full disk among others; what
                was committed stays.
        """
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._synced = time.monotonic()
        with _one_sentence(self._path):
            # immediate: a transaction that reads first could not wait for another's write
            self._db = sqlite3.connect(self._path, _LOCK_TIMEOUT, isolation_level="IMMEDIATE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")  # no fsync at each commit
            self._db.execute(_TABLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def get(self, key: str) -> Response | None:
        """Return the response to a request, None where there is none."""
        with _one_sentence(self._path):
            row = self._db.execute(_SELECT, (key,)).fetchone()
        return Response(*row) if row else None

    def add(self, responses: Iterable[Response]) -> None:
        """Commit responses together; one whose key is there already changes nothing."""
        self._write("IGNORE", responses)
        if time.monotonic() - self._synced > _SYNC_EVERY:
            with _one_sentence(self._path):
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._synced = time.monotonic()

    def load(self, artifact: str | Path) -> None:
        """Take in the responses of an artifact, if there is one; other responses stay.

        Two machines may get two responses to the same request: the versioned one stands, so that a checkout is rebuilt
        as it was.

        Raises:
            UserError: a line of the artifact is not a response; none of its lines was taken in.
        """
        if Path(artifact).exists():
            self._write("REPLACE", (said for said in _lines(artifact) if self.get(said.key) != said))

    def save(self, keys: Iterable[str], artifact: str | Path) -> None:
        """Write the responses to some requests, sorted by key, whole or not at all."""
        with replacing(artifact) as temporary, temporary.open("wb") as file:
            for key in sorted(set(keys)):
                if response := self.get(key):
                    file.write(canonical(asdict(response)).encode() + b"\n")

    def _write(self, conflict: str, responses: Iterable[Response]) -> None:
        with _one_sentence(self._path), self._db:
            self._db.executemany(
                f"INSERT OR {conflict} INTO responses VALUES (?, ?, ?, ?, ?)", map(astuple, responses)
            )


def _lines(artifact: str | Path) -> Iterator[Response]:
    with Path(artifact).open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _RESPONSE.validate_json(line, strict=True)
            except ValidationError:
                raise UserError(
                    f"{artifact} holds a line that is not a response (line {number}): bring the file back with "
                    f"`dvc checkout {artifact}`, or remove it to ask again for what the response cache lacks"
                ) from None


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.OperationalError as error:
        raise UserError(
            f"{path}: the response cache cannot be used ({error}): see that the disk has room and that the folder may "
            "be written to, and run again; all responses so far are kept"
        ) from None
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{path}: the response cache is damaged ({error}): remove {path.parent} and run again; the responses that "
            "DVC versions are taken from there, all others are asked for again"
        ) from None
