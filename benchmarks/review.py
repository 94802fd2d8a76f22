"""Print what pushing to and pulling from Argilla cost: ratio to the SDK's bulk logging, seconds, peak memory.

    make argilla                                   # in another terminal, then its two export lines
    python benchmarks/review.py push [--records 3000] [--rounds 3]
    python benchmarks/review.py pull [--records 5000] [--people 2]

Both make a workspace of their own and delete it. A record shows seven passages of 120 words, two suggestions, six
metadata and a vector of 128 numbers. `push` sends the same records by turns through our desk and through the SDK's
`Dataset.records.log`, datasets made included. `pull` reads the answers of so many people to every record and writes
the round's files.
"""

import argparse
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import argilla as rg
import httpx2
import numpy as np

from nestling.desk.argilla import ArgillaDesk
from nestling.desk.argilla_forms import RECORD, Form
from nestling.desk.interface import LETTERS, Pile, RetrievalTask, Suggestion, shuffled
from nestling.desk.rounds import save
from nestling.desk.settings import ArgillaParams
from nestling.desk.wording import Wording

PASSAGES, WORDS, DIMS = 7, 120, 128
VOCABULARY = ["il", "mare", "di", "notte", "ha", "una", "voce", "che", "non", "si", "spiega"]
METADATA = {"position": int, "purpose": str, "kind": str, "language": str, "margin": float, "data_version": str}


def task(number: int) -> RetrievalTask:
    """Return a record as the sample's queue has them, with text of its own."""
    chance = random.Random(number)
    texts = [" ".join(chance.choices(VOCABULARY, k=WORDS)) for _ in range(PASSAGES)]
    passages = tuple((f"{number}-{place}", text) for place, text in enumerate(texts))
    return RetrievalTask(
        record_id=f"{number:020x}",
        query=f"domanda numero {number}?",
        passage_id=f"{number}-0",
        passages=shuffled(str(number), passages),
        metadata=dict(zip(METADATA, (number, "audit", "question", "it", number / 1000, "v1"), strict=True)),
        suggestions=(
            Suggestion("query_quality", "good", "filter", 0.5),
            Suggestion("relevant", [f"{number}-0"], "miner", [0.75]),
        ),
        vector=np.random.default_rng(number).random(DIMS, dtype=np.float32),
    )


def ask(method: str, path: str, body: Any = None) -> Any:
    """Ask the server as its owner."""
    url, key = (os.environ[name] for name in ("ARGILLA_API_URL", "ARGILLA_API_KEY"))
    headers = {"X-Argilla-Api-Key": key}
    answer = httpx2.request(method, f"{url}/api/v1{path}", json=body, headers=headers, timeout=300, trust_env=False)
    answer.raise_for_status()
    return answer.json() if answer.content else None


@contextmanager
def workspace() -> Iterator[dict[str, Any]]:
    """Yield a new workspace, and delete it with all its datasets."""
    made = ask("POST", "/workspaces", {"name": f"bench-{random.SystemRandom().randrange(10**9)}"})
    try:
        yield made
    finally:
        for dataset in ask("GET", f"/me/datasets?workspace_id={made['id']}")["items"]:
            ask("DELETE", f"/datasets/{dataset['id']}")
        ask("DELETE", f"/workspaces/{made['id']}")


@contextmanager
def desk(name: str) -> Iterator[ArgillaDesk]:
    """Yield our desk."""
    params = ArgillaParams(
        kind="argilla", workspace=name, referee_workspace=name, vector_dims=DIMS, tries=3, timeout_s=300.0
    )
    found = ArgillaDesk(params, Wording.load("it"))
    try:
        yield found
    finally:
        found.close()


def push_ours(name: str, round_name: str, tasks: list[RetrievalTask]) -> None:
    with desk(name) as ours:
        ours.push(round_name, [Pile("audit", 2, tasks)])


def push_sdk(name: str, round_name: str, tasks: list[RetrievalTask]) -> None:
    """Log the same records as the SDK's manual does."""
    kinds = {str: rg.TermsMetadataProperty, int: rg.IntegerMetadataProperty, float: rg.FloatMetadataProperty}
    letters = LETTERS[:PASSAGES]
    settings = rg.Settings(
        guidelines="-",
        fields=[rg.TextField(name=RECORD, use_markdown=True)],
        questions=[
            rg.LabelQuestion(name="query_quality", labels=["good", "vague", "not_answerable", "wrong_language"]),
            rg.MultiLabelQuestion(name="relevant", labels=[*letters, "none"]),
            rg.TextQuestion(name="rewrite", required=False),
            rg.TextQuestion(name="comment", required=False),
        ],
        metadata=[kinds[kind](name=name) for name, kind in METADATA.items()],
        vectors=[rg.VectorField(name="query_vector", dimensions=DIMS)],
        distribution=rg.TaskDistribution(min_submitted=2),
        allow_extra_metadata=True,
    )
    client = rg.Argilla(os.environ["ARGILLA_API_URL"], os.environ["ARGILLA_API_KEY"], timeout=300)
    dataset = rg.Dataset(name=round_name, workspace=name, settings=settings, client=client)
    dataset.create()
    ids = {question: question for question in ("query_quality", "relevant")}
    form = Form(Pile("audit", 2, tasks), Wording.load("it"))
    dataset.records.log([_of_sdk(form.record_of(task, ids)) for task in tasks])


def _of_sdk(record: dict[str, Any]) -> rg.Record:
    suggestions = [
        rg.Suggestion(one["question_id"], one["value"], score=one["score"], agent=one["agent"], type="model")
        for one in record["suggestions"]
    ]
    return rg.Record(
        id=record["external_id"],
        fields=record["fields"],
        metadata=record["metadata"],
        vectors=record["vectors"],
        suggestions=suggestions,
    )


def seconds(do: Callable[[], None]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def peak() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def push(records: int, rounds: int) -> None:
    tasks = [task(number) for number in range(records)]
    before, times = peak(), {"ours": list[float](), "sdk": list[float]()}
    ways = {"ours": push_ours, "sdk": push_sdk}
    with workspace() as where:
        push_ours(where["name"], "warm", tasks[:50])
        for number in range(rounds):
            for way in sorted(ways, reverse=number % 2 == 1):
                name = f"{way}-{number}"
                if number == 0 and way == "sdk":
                    print(f"memory: {peak() - before:.0f} MB more than before, of ours")
                times[way].append(seconds(lambda way=way, name=name: ways[way](where["name"], name, tasks)))
    ratios = [ours / sdk for ours, sdk in zip(times["ours"], times["sdk"], strict=True)]
    print(f"{records} records, {rounds} rounds: ours {statistics.median(times['ours']):.1f} s,", end=" ")
    print(f"SDK {statistics.median(times['sdk']):.1f} s, ratio {statistics.median(ratios):.2f}", end=" ")
    print(f"({min(ratios):.2f} to {max(ratios):.2f})")


def answer_all(where: dict[str, Any], tasks: list[RetrievalTask], people: int) -> None:
    """Put answers of so many people to all records."""
    names = [f"{where['name']}-{number}" for number in range(people)]
    keys = []
    for name in names:
        made = ask("POST", "/users", {"first_name": name, "username": name, "password": "x" * 12, "role": "annotator"})
        ask("POST", f"/workspaces/{where['id']}/users", {"user_id": made["id"]})
        keys.append(made["id"])
    (dataset,) = ask("GET", f"/me/datasets?workspace_id={where['id']}")["items"]
    values = {"query_quality": {"value": "good"}, "relevant": {"value": ["A", "C"]}, "rewrite": {"value": "chi è?"}}
    for start in range(0, len(tasks), 200):
        items = [
            {
                "external_id": one.record_id,
                "responses": [{"user_id": key, "status": "submitted", "values": values} for key in keys],
            }
            for one in tasks[start : start + 200]
        ]
        ask("PUT", f"/datasets/{dataset['id']}/records/bulk", {"items": items})


def pull(records: int, people: int) -> None:
    tasks = [task(number) for number in range(records)]
    with workspace() as where, tempfile.TemporaryDirectory() as folder:
        push_ours(where["name"], "bench", tasks)
        answer_all(where, tasks, people)
        del tasks
        before = peak()

        def fetch() -> None:
            with desk(where["name"]) as ours:
                save(ours.pull("bench"), Path(folder), "bench")

        first, again = seconds(fetch), seconds(fetch)
        lines = len((Path(folder) / "bench.jsonl").read_text(encoding="utf-8").splitlines())
        for user in ask("GET", "/users")["items"]:
            if user["username"].startswith(where["name"]):
                ask("DELETE", f"/users/{user['id']}")
    print(
        f"{records} records, {records * people} answers of {lines} lines: pulled in {first:.1f} s, ",
        f"again {again:.1f} s, ",
        sep="",
        end="",
    )
    print(f"{peak() - before:.0f} MB more than before")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["push", "pull"])
    parser.add_argument("--records", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--people", type=int, default=2)
    options = parser.parse_args()
    if options.what == "push":
        push(options.records or 3000, options.rounds)
    else:
        pull(options.records or 5000, options.people)


if __name__ == "__main__":
    main()
