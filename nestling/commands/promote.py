"""nestling promote: the last tuned model becomes the current encoder, with which the next round filters and mines."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from nestling.cli import say
from nestling.errors import UserError
from nestling.params import with_param
from nestling.tables.io import write_text

TUNED, PROMOTED, PARAMS = Path("models/tuned"), Path("models/promoted"), Path("params.yaml")


def promote() -> None:
    """Make models/tuned the current encoder: copied to models/promoted, kept by DVC, named in params.yaml."""
    if not TUNED.is_dir():
        raise UserError(f"there is no {TUNED} to promote: run `dvc repro`, or `dvc pull` for a colleague's")
    params = with_param(PARAMS, "shared.current", str(PROMOTED))
    _recover()
    _replace()
    write_text(params, PARAMS)
    say(f"promoted {TUNED} to {PROMOTED}, and shared.current names it")
    say(f"next: git add {PROMOTED}.dvc {PARAMS} && git commit, then `dvc repro` for the next round")


def _recover() -> None:
    """Put back what a kill between two renames left aside."""
    for old in sorted(PROMOTED.parent.glob(f".{PROMOTED.name}.*.old.tmp")):
        if PROMOTED.exists():
            shutil.rmtree(old)
        else:
            old.rename(PROMOTED)


def _replace() -> None:
    temporary, old = (PROMOTED.with_name(f".{PROMOTED.name}.{os.getpid()}.{end}") for end in ("tmp", "old.tmp"))
    try:
        shutil.copytree(TUNED, temporary)
        if PROMOTED.exists():
            PROMOTED.rename(old)
        temporary.rename(PROMOTED)
        _add_to_dvc()
    except BaseException:
        if old.exists():  # what was current stays current
            shutil.rmtree(PROMOTED, ignore_errors=True)
            old.rename(PROMOTED)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _add_to_dvc() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "dvc", "add", "--quiet", str(PROMOTED)], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise UserError(f"`dvc add {PROMOTED}` failed: {' '.join(ran.stderr.split())[:300]}")
