"""Print how many texts that people wrote the gates of an LLM's queries refuse, in their language and in another.

    python benchmarks/gates.py --data DIR [--each 1500]

DIR holds data sets in their usual layout, of which those that are there are read: BEIR folders squad-it, qa4faq-it,
xquad-en, viquiquad-ca (queries of people); sentences, which stand in where there are no queries: tatoeba/en-*.tsv,
esxnli/es.csv, assin2/dev.csv, stsb/pt-dev.csv. The settings are those of params.yaml. Sentences are asked about no
passage, queries about the one that answers them.
"""

import argparse
import csv
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nestling.corpus.cleaning import one_line
from nestling.params import read_params
from nestling.queries.gates import GateParams, gate
from nestling.queries.languages import language_shares
from nestling.queries.templates import load_template

LANGUAGES = ("it", "en", "ca", "es", "pt")
LENGTHS = ((1, 3), (4, 4), (5, 5), (6, 7), (8, 11), (12, 99))  # words with letters
BEIR = {"squad-it": "it", "qa4faq-it": "it", "xquad-en": "en", "viquiquad-ca": "ca"}
OF_QUERIES = ("debris", "refers_to_text", "no_query", "echo", "wrong_language", "copied")


def beir(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (query, a passage that answers it)."""
    passages = {row["_id"]: f"{row.get('title', '')}\n{row['text']}" for row in _lines(folder / "corpus.jsonl")}
    rows = (folder / "qrels/test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    answers = {query: passage for query, passage, _ in (row.split("\t") for row in rows)}
    for row in _lines(folder / "queries.jsonl"):
        if row["_id"] in answers:
            yield row["text"], passages[answers[row["_id"]]]


def sentences(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (set, language, sentence)."""
    for language in ("it", "es", "pt", "ca"):
        for row in _rows(folder / f"tatoeba/en-{language}.tsv"):
            yield f"tatoeba-{language}", language, row.split("\t")[1]
    for row in _rows(folder / "tatoeba/en-it.tsv"):
        yield "tatoeba-en", "en", row.split("\t")[0]
    for file, language, name in (
        ("esxnli/es", "es", "esxnli"),
        ("assin2/dev", "pt", "assin2"),
        ("stsb/pt-dev", "pt", "stsb"),
    ):
        if (path := folder / f"{file}.csv").exists():
            with path.open(encoding="utf-8", newline="") as stream:
                for row in csv.DictReader(stream):
                    yield f"{name}-{language}", language, row["sentence1"]


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _rows(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def collected(folder: Path, each: int) -> pl.DataFrame:
    """Return set, language, text, passage; at most `each` distinct texts a set, drawn with one seed."""
    rows = [
        (name, language, one_line(text), passage)
        for name, language in BEIR.items()
        if (folder / name).is_dir()
        for text, passage in beir(folder / name)
    ] + [(name, language, one_line(text), "") for name, language, text in sentences(folder)]
    frame = pl.DataFrame(rows, schema=["set", "language", "text", "passage"], orient="row").unique(
        ["language", "text"], keep="first", maintain_order=True
    )
    parts = []
    for (name,), of_set in frame.sort("set", "text").group_by("set", maintain_order=True):
        places = random.Random(str(name)).sample(range(of_set.height), min(each, of_set.height))
        parts.append(of_set[sorted(places)])
    return pl.concat(parts).filter(pl.col("text") != "")


def refused(frame: pl.DataFrame, params: GateParams) -> pl.DataFrame:
    """Return the rows with the gate that each fails first, empty where it passes."""
    rows = frame.with_row_index("position").with_columns(
        kind=pl.lit("any"),
        passage_id=pl.col("position").cast(pl.String).str.zfill(8),
        position=pl.col("position").cast(pl.UInt32),
    )
    passages = rows.select("passage_id", "language", text="passage")
    templates = {code: load_template(code) for code in LANGUAGES}
    asked = rows.select("text", "kind", "passage_id", "position")
    _, gone = gate(asked, passages, templates, {"any": (1, 999)}, params.model_copy(update={"max_passages": 10**9}))
    return rows.join(gone.select("passage_id", "reason"), on="passage_id", how="left").with_columns(
        pl.col("reason").fill_null("")
    )


def shares_of(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows once for each language that may be wanted, with its share and the length of the text."""
    spoken = pl.Series([len(re.findall(r"\S*[^\W\d_]\S*", text)) for text in frame["text"]], dtype=pl.Int64)
    parts = [
        frame.with_columns(
            wanted=pl.lit(code), share=pl.Series(language_shares(frame["text"].to_list(), code)), words=spoken
        )
        for code in LANGUAGES
    ]
    return pl.concat(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--each", type=int, default=1500)
    options = parser.parse_args()
    params = GateParams.model_validate_json(json.dumps(read_params(Path("params.yaml"))["generate"]["llm"]["gates"]))
    frame = collected(options.data, options.each)

    print("refused of texts that people wrote, percent, by set and gate")
    judged = refused(frame, params)
    for (name,), of_set in judged.group_by("set", maintain_order=True):
        told = [f"{gate_name} {100 * (of_set['reason'] == gate_name).mean():.2f}" for gate_name in OF_QUERIES]
        print(f"  {name:14} {of_set.height:5}  {'  '.join(told)}")

    print(
        "the gate of the language at any length, percent; words with letters "
        + " ".join(f"{a}-{b}" for a, b in LENGTHS)
    )
    shares = shares_of(frame)
    for bound in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0):
        below = shares.with_columns(refused=pl.col("share") < bound)
        for wanted in LANGUAGES:
            told = []
            for own in (True, False):
                rows = below.filter(pl.col("wanted") == wanted, (pl.col("language") == wanted) == own)
                told.append(" ".join(_rate(rows.filter(pl.col("words").is_between(*length))) for length in LENGTHS))
            print(f"  share below {bound}, {wanted}: own refused {told[0]} | other languages caught {told[1]}")


def _rate(rows: pl.DataFrame) -> str:
    return f"{100 * rows['refused'].mean():.1f}" if rows.height else "-"  # type: ignore[operator]


if __name__ == "__main__":
    main()
