"""Print what the measure of near duplicates among short texts finds and what it mistakes, by threshold and language.

    python benchmarks/contamination.py DIR            tables
    python benchmarks/contamination.py DIR --show     ... and the pairs that are taken for one
    python benchmarks/contamination.py DIR --scale    time and memory of 100,000 queries against 10,000

DIR holds squad-it, qa4faq-it, viquiquad-ca and xquad-en in BEIR layout, stsb/{it,pt,en}-{train,dev}.csv,
assin2/train.csv and sick/train.csv.

Real questions are edited: as people retype one question (to be found), and into another question (not to be found).
Pairs that people graded say how much of what means the same is the same in words, which is all that the measure sees.
"""

import argparse
import csv
import json
import random
import re
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import Stemmer
import stopwordsiso
from sklearn.feature_extraction.text import HashingVectorizer

from nestling.corpus.cleaning import folded_words, words
from nestling.corpus.contamination import NearDuplicate, pair_leaks
from nestling.corpus.duplicates import shingles
from nestling.corpus.short_texts import ShortText, Vocabulary, likeness, short_duplicates

THRESHOLDS = (0.75, 0.8, 0.85, 0.9)
DRAWN = 600  # questions of a set that are edited
SETS = {"squad-it": "it", "qa4faq-it": "it", "viquiquad-ca": "ca", "xquad-en": "en"}
STEMMERS = {"it": "italian", "ca": "catalan", "en": "english"}
FORMS = {  # of one function word
    "it": ["di del della dello dei degli delle", "a al alla allo ai agli alle", "in nel nella nei nelle",
           "da dal dalla dai", "il lo la i gli le un uno una", "su sul sulla"],
    "ca": ["de del dels", "a al als", "el la els les un una", "per pel pels", "en al a"],
    "en": ["the a an", "in on at", "of from", "do does did", "is are was were", "has have had"],
}  # fmt: skip
ASKING = {"it": "chi quando dove quanto perché", "ca": "qui quan on quant com", "en": "who when where why how"}


CHARACTERS = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 4), alternate_sign=False)  # what was not chosen


class Editor:
    """Edits questions of one language with words of the same questions."""

    def __init__(self, language: str, questions: Sequence[str]) -> None:
        self.rng = random.Random(1)
        self.forms = {word: group.split() for group in FORMS[language] for word in group.split()}
        self.asking = ASKING[language].split()
        self.stem = Stemmer.Stemmer(STEMMERS[language]).stemWord
        stop = stopwordsiso.stopwords(language)
        known = [word for text in questions for word in re.findall(r"\w+", text)]
        self.content = [word for word in known if word.islower() and len(word) > 3 and word not in stop]
        self.names = [word for text in questions for word in re.findall(r"(?<=\s)[A-Z]\w\w+", text)]
        self.family = defaultdict(set)
        for word in self.content:
            self.family[self.stem(word)].add(word)

    def _swap(self, text: str, fits: Callable[[str], bool], other: Callable[[str], str]) -> str | None:
        parts = re.findall(r"\w+|\W+", text)
        places = [place for place, part in enumerate(parts) if part[0].isalnum() and fits(part)]
        if not places:
            return None
        place = self.rng.choice(places)
        parts[place] = other(parts[place])
        edited = "".join(parts)
        return edited if words(edited) != words(text) else None

    def signs(self, text: str) -> str | None:
        return " ".join(folded_words(text)).upper()

    def typo(self, text: str) -> str | None:
        def slip(word: str) -> str:
            at, letter = self.rng.randrange(1, len(word) - 1), self.rng.choice("aeionrtl")
            before, here, after, rest = word[:at], word[at], word[at + 1], word[at + 2 :]
            ways = (after + rest, here + here + after + rest, after + here + rest, letter + after + rest)
            return before + self.rng.choice(ways)

        return self._swap(text, lambda word: len(word) >= 5 and word.isalpha(), slip)

    def ending(self, text: str) -> str | None:
        def kin(word: str) -> list[str]:
            return sorted(self.family[self.stem(word)] - {word})

        return self._swap(
            text, lambda word: word in self.content and bool(kin(word)), lambda w: self.rng.choice(kin(w))
        )

    def function_word(self, text: str) -> str | None:
        return self._swap(
            text, lambda word: word.lower() in self.forms, lambda w: self.rng.choice(["", *self.forms[w.lower()]])
        )

    def order(self, text: str) -> str | None:
        parts = words(text)
        moved = self.rng.randint(1, 3)
        return " ".join(parts[-moved:] + parts[:-moved]) if len(parts) > 3 else None

    def two_edits(self, text: str) -> str | None:
        first, second = self.rng.sample([self.typo, self.ending, self.function_word, self.order], 2)
        once = first(text)
        return once and second(once)

    def number(self, text: str) -> str | None:
        return self._swap(
            text, str.isdigit, lambda word: word[:-1] + str((int(word[-1]) + self.rng.randint(1, 9)) % 10)
        )

    def name(self, text: str) -> str | None:
        return self._swap(text, lambda word: word in self.names, lambda _: self.rng.choice(self.names))

    def content_word(self, text: str) -> str | None:
        return self._swap(text, lambda word: word in self.content, lambda _: self.rng.choice(self.content))

    def asking_word(self, text: str) -> str | None:
        return self._swap(text, lambda word: word.lower() in self.asking, lambda _: self.rng.choice(self.asking))

    def word_more(self, text: str) -> str | None:
        return self._swap(text, str.isalpha, lambda word: f"{word} {self.rng.choice(self.content)}")


SAME = ("signs", "typo", "ending", "function_word", "order", "two_edits")
OTHER = ("number", "name", "content_word", "asking_word")


def shares(pairs: Sequence[tuple[str, str]], known: Vocabulary) -> list[float]:
    """Return the shares of pairs whose likeness reaches each threshold, whose shingles .8 and whose characters .85."""
    found = [likeness(ShortText.of(one), ShortText.of(other), known) for one, other in pairs]
    bags = [(shingles(one), shingles(other)) for one, other in pairs]
    shingled = sum(len(one & other) / len(one | other) >= 0.8 for one, other in bags)
    left, right = (
        CHARACTERS.transform(" ".join(folded_words(text)) for text in side) for side in zip(*pairs, strict=True)
    )
    near = int((left.multiply(right).sum(axis=1) >= 0.85).sum())
    return [
        *(sum(value >= least for value in found) / len(pairs) for least in THRESHOLDS),
        shingled / len(pairs),
        near / len(pairs),
    ]


def row(name: str, pairs: Sequence[tuple[str, str]], known: Vocabulary) -> None:
    """Print a row of a table."""
    print(f"| {name} | {len(pairs)} | {' | '.join(f'{share:.3f}' for share in shares(pairs, known))} |")


def head(name: str) -> None:
    """Print the head of a table."""
    columns = ["pairs", *map(str, THRESHOLDS), "shingles .8", "3- and 4-grams .85"]
    print(f"\n| {name} | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")


def edited(folder: Path, name: str, language: str) -> None:
    """Print the table of edited questions of one set."""
    lines = (folder / name / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    questions = sorted({json.loads(line)["text"] for line in lines})
    drawn = random.Random(1).sample(questions, min(DRAWN, len(questions)))
    head(name)
    known = Vocabulary.of(questions)
    everything: list[tuple[str, str]] = []
    for kinds, sort in ((SAME, "same"), (OTHER, "other"), (("word_more",), "?")):
        for kind in kinds:
            edit = getattr(Editor(language, questions), kind)
            if pairs := [(text, other) for text in drawn if (other := edit(text))]:
                row(f"{sort}: {kind}", pairs, known)
                everything += pairs
    left, right = map(list, zip(*everything, strict=True))
    alike = {at for at, (a, b) in enumerate(everything) if likeness(ShortText.of(a), ShortText.of(b), known) >= 0.85}
    found = {pair.left for pair in short_duplicates(left, right, 0.85) if pair.left == pair.right}
    print(f"\n{len(alike - found)} of {len(alike)} pairs of likeness .85 are no candidates")


def among(folder: Path, name: str, show: bool) -> None:
    """Print how many pairs of different questions of one set are taken for one."""
    lines = [json.loads(line) for line in (folder / name / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = sorted({line["text"] for line in lines})
    found = [pair for pair in short_duplicates(texts, texts, min(THRESHOLDS)) if pair.left < pair.right]
    counts = [sum(pair.similarity >= least for pair in found) for least in THRESHOLDS]
    print(f"| {name} | {len(texts)} | {' | '.join(map(str, counts))} |")
    for pair in found if show else ():
        print(f"    {pair.similarity:.3f}  {texts[pair.left]}  ~  {texts[pair.right]}")


def graded(path: Path, column: str, bounds: Sequence[tuple[float, float]]) -> None:
    """Print the table of pairs that people graded."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    known = Vocabulary.of({one[name] for one in rows for name in ("sentence1", "sentence2")})
    for low, high in bounds:
        pairs = [(one["sentence1"], one["sentence2"]) for one in rows if low <= float(one[column]) <= high]
        row(f"{path.parent.name}/{path.stem} {low:g} to {high:g}", pairs, known)


def leaking_pairs(folder: Path, language: str, show: bool) -> None:
    """Print how many pairs of STS-B's dev set repeat one of its training set."""
    tables = [
        pl.read_csv(folder / f"stsb/{language}-{part}.csv").with_row_index("pair_id") for part in ("train", "dev")
    ]
    train, dev = (table.with_columns(pl.col("pair_id").cast(pl.String), suite=pl.lit("dev")) for table in tables)
    counts = []
    for least in (*THRESHOLDS, 1.0):
        found = pair_leaks(train.drop("suite"), dev, NearDuplicate(passages=0.8, short=least))
        counts.append(found["eval_id"].n_unique())
        if show and least == THRESHOLDS[0]:
            for similarity, one, other in found.select("similarity", "eval_id", "train_id").iter_rows():
                both = " ~ ".join(
                    " / ".join(map(str, table.row(int(at))[1:4])) for table, at in ((dev, one), (train, other))
                )
                print(f"    {similarity:.3f}  {both}")
    print(f"| {language} | {dev.height} | {' | '.join(map(str, counts))} |")


def scale(folder: Path) -> None:
    """Print CPU seconds and memory for runs of words cut out of SQuAD-it against its questions and more such runs."""
    lines = [
        (folder / "squad-it" / name).read_text(encoding="utf-8").splitlines()
        for name in ("corpus.jsonl", "queries.jsonl")
    ]
    passages, questions = ([json.loads(line)["text"] for line in part] for part in lines)
    rng = random.Random(3)

    def cut() -> str:
        parts = rng.choice(passages).split()
        size = rng.randint(3, 12)
        start = rng.randrange(max(1, len(parts) - size))
        return " ".join(parts[start : start + size])

    train = list(dict.fromkeys(cut() for _ in range(110_000)))[:100_000]
    asked = (questions + [cut() for _ in range(10_000)])[:10_000]
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = short_duplicates(train, asked, 0.85)
    spent, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{len(train)} x {len(asked)}: {len(found)} pairs, {spent:.0f} s of CPU, {(peak - before) / 1024:.0f} MB more"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", action="store_true", help="print the pairs")
    parser.add_argument("--scale", action="store_true", help="print time and memory of many queries")
    options = parser.parse_args()
    if options.scale:
        scale(options.folder)
        return
    for name, language in SETS.items():
        edited(options.folder, name, language)
    print(
        f"\n| among different questions of | questions | {' | '.join(map(str, THRESHOLDS))} |\n|---|---|{'---|' * 4}"
    )
    for name in SETS:
        among(options.folder, name, options.show)
    head("pairs that people graded")
    for language in ("it", "pt", "en"):
        graded(
            options.folder / f"stsb/{language}-train.csv", "score", [(5, 5), (4.8, 5), (4, 4.79), (3, 3.99), (0, 2.99)]
        )
    for name in ("assin2", "sick"):
        graded(options.folder / name / "train.csv", "relatedness", [(5, 5), (4, 4.99), (3, 3.99), (1, 2.99)])
    print(f"\n| STS-B dev in train | dev | {' | '.join(map(str, THRESHOLDS))} | 1.0 |\n|---|---|{'---|' * 5}")
    for language in ("it", "pt", "en"):
        leaking_pairs(options.folder, language, options.show)


if __name__ == "__main__":
    main()
