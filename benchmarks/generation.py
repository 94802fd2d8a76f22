"""Print what writing queries costs beside a bare vLLM, beside transformers, and how well prompts share their prefix.

    python benchmarks/generation.py loop [--requests 2000] [--rounds 3]      ours against one call of LLM.chat
    python benchmarks/generation.py transformers [--requests 64]             vLLM against transformers.generate
    python benchmarks/generation.py prefix [--requests 500]                  share of prompt tokens in cached blocks

On a machine without a GPU: OMP_NUM_THREADS=1. The model is a tiny one of random weights (tests/tiny_llm.py), or
`--model FOLDER`. Passages are the sample's, cut and joined anew until there are enough.
"""

import argparse
import gc
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nestling.llm.asking import Llm
from nestling.llm.backend import ChatRefusal, ChatRequest, ModelParams, SamplingParams
from nestling.llm.meter import Meter
from nestling.llm.response_cache import ResponseCache
from nestling.llm.vllm import VllmBackend, VllmParams, engine_options, set_environment
from nestling.models import fingerprint
from nestling.queries.writing import KindParams, WritingParams, write_queries
from tests.tiny_llm import tiny_llm

LENGTH, BLOCK = 8192, 16  # tokens; vLLM's block
PARAMS = VllmParams(
    kind="vllm", dtype="auto", quantization="none", max_model_len=LENGTH, tensor_parallel=1, memory=0.3, in_flight=256
)
WRITING = WritingParams(
    kinds={"question": KindParams(queries=2.0, min_words=1, max_words=6)},
    summary_words=0,
    attempts=1,
    sampling=SamplingParams(temperature=0.8, top_p=0.95, max_tokens=512),
)


def passages(number: int) -> pl.DataFrame:
    """Return so many passages: halves of the sample's, joined anew."""
    files = sorted(Path("data/raw/sample/documents").glob("*.jsonl"))
    texts = [json.loads(line)["text"] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    chance = random.Random(0)
    pairs = (chance.sample(texts, 2) for _ in itertools.count())
    made = [f"{one[: len(one) // 2]} {other[len(other) // 2 :]}" for one, other in itertools.islice(pairs, number)]
    return pl.DataFrame({"passage_id": [f"{place:020x}" for place in range(number)], "text": made, "language": "it"})


class Recorder:
    """A backend that answers nothing and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[ChatRefusal]:
        """Refuse every request."""
        for request in requests:
            self.requests.append(request)
            yield ChatRefusal(request.key, "turned_down", "recorded")

    def close(self) -> None:
        """Free nothing."""


def ours(model: ModelParams, backend: Any, rows: pl.DataFrame, writing: WritingParams = WRITING) -> float:
    """Write queries with an empty response cache; return the seconds."""
    with tempfile.TemporaryDirectory() as folder, ResponseCache(f"{folder}/responses.sqlite") as cache:
        llm = Llm(model, lambda: backend, cache, Meter())
        start = time.perf_counter()
        write_queries(llm, rows, writing, seed=1)
        return time.perf_counter() - start


def bare_engine(model: ModelParams) -> Any:
    """Return vLLM's own LLM with the options that ours has."""
    set_environment()
    from vllm import LLM

    return LLM(**engine_options(Path(model.name), PARAMS))


def bare(model: ModelParams, requests: list[ChatRequest]) -> float:
    """Return the seconds of one call of LLM.chat with the same messages and sampling."""
    from vllm import SamplingParams as VllmSampling
    from vllm.sampling_params import StructuredOutputsParams

    messages = [[{"role": role, "content": text} for role, text in request.messages] for request in requests]
    sampling = [
        VllmSampling(
            **request.sampling.model_dump(),
            seed=request.seed,
            structured_outputs=StructuredOutputsParams(json=request.schema),
        )
        for request in requests
    ]
    engine = bare_engine(model)
    start = time.perf_counter()
    engine.chat(messages, sampling, use_tqdm=False)
    return time.perf_counter() - start


def loaded(model: ModelParams, rows: pl.DataFrame) -> float:
    """Return the seconds of ours, the loading of the engine apart."""
    with closing(VllmBackend(model, PARAMS)) as backend:
        return ours(model, backend, rows)


def loop(model: ModelParams, requests: int, rounds: int) -> None:
    """Ours and the bare call in turn, each with an engine of its own."""
    rows, recorder = passages(requests), Recorder()
    ours(model, recorder, rows)
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    for turn in range(rounds):
        for name in ("bare", "ours") if turn % 2 else ("ours", "bare"):
            seconds = loaded(model, rows) if name == "ours" else bare(model, recorder.requests)
            gc.collect()
            times[name].append(seconds)
            print(f"round {turn + 1} {name}: {seconds:.1f} s", flush=True)
    middle = {name: statistics.median(seconds) for name, seconds in times.items()}
    print(f"{requests} requests: ours {middle['ours']:.1f} s, LLM.chat {middle['bare']:.1f} s (medians of {rounds})")
    ratios = [one / other for one, other in zip(times["ours"], times["bare"], strict=True)]
    print(f"ours / bare: median of the rounds' ratios {statistics.median(ratios):.3f}")


def prefix(model: ModelParams, requests: int) -> None:
    """The share of prompt tokens that came out of the prefix cache, with the prompts of params.yaml."""
    tree = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["generate"]["llm"]["writing"]
    recorder = Recorder()
    ours(model, recorder, passages(requests), WritingParams.model_validate_json(json.dumps(tree)))
    backend = VllmBackend(model, PARAMS)
    short = SamplingParams(temperature=0.8, top_p=0.95, max_tokens=8)  # prompts are what is measured
    answers = list(backend.answer(replace(request, sampling=short) for request in recorder.requests))
    backend.close()
    prompt = sum(answer.prompt_tokens for answer in answers)
    whole = sum(answer.prompt_tokens // BLOCK * BLOCK for answer in answers)
    cached = sum(answer.cached_tokens for answer in answers)
    print(f"{requests} requests, {prompt / requests:.0f} prompt tokens each")
    print(f"prefix-cached: {cached / prompt:.3f} of all prompt tokens, {cached / whole:.3f} of those in whole blocks")


def prompts_of(model: ModelParams, requests: int) -> list[str]:
    """Return our prompts as the model's chat template writes them."""
    from transformers import AutoTokenizer

    recorder = Recorder()
    ours(model, recorder, passages(requests))
    tokenizer = AutoTokenizer.from_pretrained(model.name)
    return [
        tokenizer.apply_chat_template(
            [{"role": role, "content": text} for role, text in request.messages],
            tokenize=False,
            add_generation_prompt=True,
        )
        for request in recorder.requests
    ]


def best_of_transformers(model: ModelParams, prompts: list[str], new_tokens: int) -> float:
    """Return the seconds of transformers.generate at its best batch size."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model.name, padding_side="left")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    plain = AutoModelForCausalLM.from_pretrained(model.name).to(device).eval()
    times = []
    for size in (1, 4, 16, 64):
        start = time.perf_counter()
        for place in range(0, len(prompts), size):
            batch = tokenizer(prompts[place : place + size], return_tensors="pt", padding=True).to(device)
            with torch.inference_mode():
                plain.generate(**batch, do_sample=False, min_new_tokens=new_tokens, max_new_tokens=new_tokens)
        times.append(time.perf_counter() - start)
        print(f"transformers.generate, batches of {size}: {times[-1]:.1f} s", flush=True)
    return min(times)


def transformers(model: ModelParams, requests: int, new_tokens: int = 64) -> None:
    """The same prompts and number of new tokens, greedily, without a schema."""
    from vllm import SamplingParams as VllmSampling

    prompts = prompts_of(model, requests)
    best = best_of_transformers(model, prompts, new_tokens)
    engine = bare_engine(model)
    sampling = VllmSampling(temperature=0.0, max_tokens=new_tokens, ignore_eos=True)
    for what in ("shared prefix cached", "again, prompts cached whole"):
        start = time.perf_counter()
        engine.generate(prompts, sampling, use_tqdm=False)
        seconds = time.perf_counter() - start
        print(f"vLLM, {what}: {seconds:.1f} s; transformers at its best / vLLM: {best / seconds:.2f}")


def main() -> None:
    """Run the part that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["loop", "transformers", "prefix"])
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        name = options.model or str(tiny_llm(Path(folder) / "tiny", LENGTH, 0))
        model = ModelParams(name=name, revision=fingerprint(Path(name)))
        if options.part == "loop":
            loop(model, options.requests or 2000, options.rounds)
        elif options.part == "prefix":
            prefix(model, options.requests or 500)
        else:
            transformers(model, options.requests or 64)


if __name__ == "__main__":
    main()
