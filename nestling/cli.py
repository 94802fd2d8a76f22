"""How a stage or a command ends: one clear sentence for what a person can mend, a traceback for a bug."""

import errno
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from polars.exceptions import PolarsError
from safetensors import SafetensorError
from tqdm import tqdm

from nestling.errors import UserError

_MENDABLE = {
    errno.ENOSPC: "no space left on the device: free some (`dvc gc -w` drops artifacts of old versions) and run again",
    errno.EDQUOT: "the disk quota is used up: free some space and run again",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.ENOTDIR: "a file stands where a folder should: move it away",
    errno.EISDIR: "a folder stands where a file should: move it away",
    errno.EFBIG: "the file would exceed the size limit of this file system or shell",
}
# how Rust libraries (polars, safetensors) and numpy tell of a failed write, whose exceptions carry no errno
_RUST = re.compile(r"\(os error (\d+)\)")
_NUMPY = re.compile(r"\d+ requested and \d+ written")


def say(message: str) -> None:
    """Tell the person at the terminal; standard error, so that output can be piped."""
    tqdm.write(message, file=sys.stderr)  # on a line of its own, should a progress bar be moving


def explain(error: Exception) -> str | None:
    """Return the sentence for an operating-system error that a person can mend, or None for a bug."""
    number = error.errno if isinstance(error, OSError) and error.errno else _told(str(error))
    if number not in _MENDABLE:
        return None
    name = getattr(error, "filename", None)
    return (f"{name}: " if name else "") + _MENDABLE[number]


def _told(message: str) -> int:
    if _NUMPY.fullmatch(message):
        return errno.ENOSPC
    found = _RUST.search(message)
    return int(found[1]) if found else 0


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn a UserError, a full disk or Ctrl-C into one line on standard error and an exit code."""
    try:
        yield
    except UserError as error:
        say(f"error: {error}")
        sys.exit(1)
    except (OSError, PolarsError, SafetensorError) as error:
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
