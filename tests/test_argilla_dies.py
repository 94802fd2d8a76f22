"""The server dies in the middle of a push and of a pull: one sentence, and after its next start nothing lacks."""

import os
import signal
from contextlib import contextmanager

import pytest

from nestling.desk.argilla import ArgillaDesk
from nestling.desk.interface import PairTask, Pile
from nestling.desk.rounds import save
from nestling.desk.settings import ArgillaParams
from nestling.desk.wording import Wording
from nestling.errors import UserError
from services.argilla.running import running
from tests.annotating import Annotating
from tests.argilla import require_server, settings_for
from tests.stumbling import stumbling

pytestmark = pytest.mark.slow
RECORDS = {f"{number:020x}" for number in range(30)}
PILES = [Pile("sts", 1, [PairTask(name, f"frase {name}", "altra", {"position": 1}) for name in sorted(RECORDS)])]
PARAMS = ArgillaParams(
    kind="argilla", workspace="nestling", referee_workspace="none", vector_dims=0, tries=2, timeout_s=5.0
)


@contextmanager
def seated(argilla, monkeypatch, dies_at=None):
    """Yield a desk at a server, which dies as a request comes whose path holds a text for the second time."""
    met = []

    def plan(_, __, path):
        met.extend([path] if dies_at and dies_at in path else [])
        if len(met) < 2:
            return ""
        os.kill(argilla.processes.pids["server"], signal.SIGKILL)
        return "reset"

    with stumbling(argilla.url, plan) as proxy:
        monkeypatch.setenv("ARGILLA_API_URL", proxy.url)
        monkeypatch.setenv("ARGILLA_API_KEY", argilla.api_key)
        desk = ArgillaDesk(PARAMS, Wording.load("it"), first_wait_s=0.01)
        try:
            yield desk
        finally:
            desk.close()


def test_a_server_that_dies_in_a_push_and_in_a_pull_costs_nothing_but_another_try(tmp_path, monkeypatch):
    require_server()
    monkeypatch.setattr("nestling.desk.argilla._BATCH", 4)
    monkeypatch.setattr("nestling.desk.argilla._PAGE", 4)
    settings, annotations = settings_for(tmp_path / "home"), tmp_path / "annotations"
    told = pytest.raises(UserError, match=r"does not answer .* nothing is lost or doubled")
    with running(settings) as argilla, seated(argilla, monkeypatch, dies_at="/records/bulk") as desk, told:
        desk.push("round-01", PILES)
    with running(settings) as argilla:
        seat = Annotating(argilla.url, argilla.api_key)
        there = set(seat.records("nestling", "round-01-sts"))
        assert set() < there < RECORDS  # it died in the middle
        with seated(argilla, monkeypatch) as desk:
            (pushed,) = desk.push("round-01", PILES)
        assert (pushed.there, pushed.added) == (len(there), len(RECORDS) - len(there))
        assert seat.found("nestling", "round-01-sts") == len(RECORDS)
        anna = seat.person("nestling", "carla")
        for record in seat.records("nestling", "round-01-sts").values():
            seat.answer(anna, record, {"similarity": 3})
        with seated(argilla, monkeypatch, dies_at="include=responses") as desk:
            with pytest.raises(UserError, match="does not answer"):
                save(desk.pull("round-01"), annotations, "round-01")
            assert not annotations.exists()
    with running(settings) as argilla, seated(argilla, monkeypatch) as desk:
        assert save(desk.pull("round-01"), annotations, "round-01").answers == len(RECORDS)
