"""How a stage or a command ends: one clear sentence for what a person can mend, a traceback for a bug."""

import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nestling.errors import UserError

_MENDABLE = {
    errno.ENOSPC: "no space left on the device: free some (`dvc gc -w` drops artifacts of old versions) and run again",
    errno.EDQUOT: "the disk quota is used up: free some space and run again",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EFBIG: "the file would exceed the size limit of this file system or shell",
}


def say(message: str) -> None:
    """Tell the person at the terminal; standard error, so that output can be piped."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def explain(error: OSError) -> str | None:
    """Return the sentence for an operating-system error that a person can mend, or None for a bug."""
    if error.errno not in _MENDABLE:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return where + _MENDABLE[error.errno]


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn a UserError, a full disk or Ctrl-C into one line on standard error and an exit code."""
    try:
        yield
    except UserError as error:
        say(f"error: {error}")
        sys.exit(1)
    except OSError as error:
        sentence = explain(error)
        if sentence is None:
            raise
        say(f"error: {sentence}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("stopped; run the same command again to go on")
        sys.exit(130)


def run(main: Callable[[], None]) -> None:
    """Run the `main` of a stage."""
    logging.basicConfig(level=os.environ.get("NESTLING_LOG", "WARNING"), format="%(levelname)s %(name)s: %(message)s")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    with one_sentence():
        main()
