import errno
import subprocess
import sys
import warnings

import pytest
from polars.exceptions import ComputeError
from safetensors import SafetensorError

from nestling.cli import explain, one_sentence, run
from nestling.errors import TableError, UserError

FULL = "no space left on the device: free some (`dvc gc -w` drops artifacts of old versions) and run again"


def ended(error, capsys):
    with pytest.raises(SystemExit) as raised, one_sentence():
        raise error
    return raised.value.code, capsys.readouterr().err


@pytest.mark.parametrize("error", [UserError("raise mine.depth"), TableError("raise mine.depth")])
def test_what_a_person_can_mend_is_one_line_and_exit_code_1(error, capsys):
    assert ended(error, capsys) == (1, "error: raise mine.depth\n")


def test_ctrl_c_says_how_to_go_on(capsys):
    assert ended(KeyboardInterrupt(), capsys) == (130, "stopped; run the same command again to go on\n")


@pytest.mark.parametrize("error", [ZeroDivisionError(), FileNotFoundError(errno.ENOENT, "gone"), ComputeError("?")])
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)), one_sentence():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        ComputeError("parquet: underlying IO error: No space left on device (os error 28)"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError("100000 requested and 2484 written"),
    ],
)
def test_a_full_disk_is_told_whichever_library_meets_it(error, capsys):
    assert ended(error, capsys) == (1, f"error: {FULL}\n")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG])
def test_the_file_is_named_where_it_is_known(number):
    assert explain(OSError(number, "", "data/x.parquet")).startswith("data/x.parquet: ")


def test_run_silences_the_warnings_of_libraries(capsys):
    with warnings.catch_warnings():
        run(lambda: warnings.warn("deprecated", DeprecationWarning, stacklevel=1))
    assert capsys.readouterr().err == ""


WRITE = """
import resource, signal, sys
import numpy, polars
from safetensors.numpy import save_file
from nestling.cli import run
from nestling.tables.io import replacing, write_json
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
numbers = numpy.random.default_rng(1).random(50_000)
def parquet(path): polars.DataFrame({"a": numbers}).write_parquet(path)
def weights(path): save_file({"a": numbers}, path)
def array(path): numpy.save(path.open('wb'), numbers)
def report(path): path.write_text("x" * 100_000)
def main():
    with replacing("out") as path:
        globals()[sys.argv[1]](path)
run(main)
"""


@pytest.mark.parametrize("writer", ["parquet", "weights", "array", "report"])
def test_a_write_that_fails_ends_in_one_sentence_and_leaves_the_old_file(tmp_path, writer):
    (tmp_path / "out").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", WRITE, writer], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: ")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", "old")]
