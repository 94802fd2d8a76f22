"""Print what a run costs whose every answer the response cache has: seconds by part, and peak memory.

    python benchmarks/responses.py [REQUESTS]

Fills a cache in a temporary folder and reads it in a process of its own. Prompts as `generate` sends them: 5,000
characters of instructions that all share, a passage of 800; answers of 500.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

from nestling.llm.asking import Llm
from nestling.llm.backend import Backend, ChatRequest, ModelParams, SamplingParams, canonical
from nestling.llm.meter import Meter
from nestling.llm.response_cache import Response, ResponseCache

MODEL = ModelParams(name="bench", revision="0" * 40)
SAMPLING = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=512)
QUERIES = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 288},
    "minItems": 3,
    "maxItems": 3,
}
SCHEMA = canonical({"type": "object", "properties": {"question": QUERIES, "keywords": QUERIES}})
PREFIX, PASSAGE, ANSWER = 5000, 800, 500  # characters


def words(chance: random.Random, characters: int) -> str:
    """Return nonsense of that length, accents and quotes included."""
    return "".join(chance.choices('abcdefghilmnopqrstuvz àèìòù"\n    ', k=characters))


def requests(number: int) -> Iterator[ChatRequest]:
    """Yield so many requests; they share the messages before the last."""
    chance = random.Random(0)
    roles = ("system", "user", "assistant", "user", "assistant")
    prefix = tuple((role, words(chance, PREFIX // len(roles))) for role in roles)
    long = words(chance, 100_000)
    for index in range(number):
        start = index % (len(long) - PASSAGE)
        passage = f"{index} {long[start:]}"[:PASSAGE]
        yield ChatRequest(str(index), (*prefix, ("user", passage)), index, SCHEMA, SAMPLING)


def fill(path: Path, number: int) -> None:
    """Write a cache with a response to every request."""
    chance = random.Random(1)
    asked = requests(number)
    with ResponseCache(path) as cache:
        while batch := list(islice(asked, 1000)):
            cache.add(Response(one.digest(MODEL), words(chance, ANSWER), "stop", 1900, 150) for one in batch)


def no_backend() -> Backend:
    """Fail: nothing may be asked."""
    raise RuntimeError("the cache lacks an answer")


def read(folder: Path, number: int) -> None:
    """Run as a stage does whose answers are all kept, and print the figures."""
    marks = [time.perf_counter()]

    def lap() -> None:
        marks.append(time.perf_counter())

    with ResponseCache(folder / "responses.sqlite") as cache:
        lap()
        with Llm(MODEL, no_backend, cache, Meter()) as llm:
            given = sum(1 for _ in llm.ask(requests(number), "queries"))
        lap()
        cache.save(llm.used, folder / "responses.jsonl")
        lap()
        cache.load(folder / "responses.jsonl")
        lap()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
    opened, asked, written, taken = (after - before for before, after in pairwise(marks))
    start = time.perf_counter()
    made = sum(1 for _ in requests(number))
    making = time.perf_counter() - start
    start = time.perf_counter()
    different = len({one.digest(MODEL) for one in requests(number)})
    digesting = time.perf_counter() - start - making
    assert given == made == different == number
    print(
        f"{number} cached requests: {sum((opened, asked, written, taken)):.2f} s (cache opened {opened:.2f}, "
        f"asked {asked:.2f}, of which requests made {making:.2f} and digests {digesting:.2f}, artifact written "
        f"{written:.2f}, taken in {taken:.2f}), peak {peak:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requests", type=int, nargs="?", default=45_000)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.read, options.requests)
        return
    with tempfile.TemporaryDirectory() as temporary:
        fill(Path(temporary) / "responses.sqlite", options.requests)
        again = [sys.executable, __file__, str(options.requests), "--read", temporary]
        subprocess.run(again, check=True)


if __name__ == "__main__":
    main()
