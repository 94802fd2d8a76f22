"""How often the encoding of a few sentences is told, by nestling and by charset-normalizer given the same choice.

python benchmarks/encodings.py FOLDER, which holds Tatoeba's sentences as en-it.tsv, en-pt.tsv ...
"""

import argparse
import io
import random
import sys
from pathlib import Path

from charset_normalizer import from_bytes

from nestling.corpus.encodings import SINGLE_BYTE, encoding_of

SAMPLES = 100  # of each language and size


def sentences(folder: Path) -> dict[str, list[str]]:
    """Return sentences by language; English with the apostrophes and quotes of a word processor."""
    found = {
        file.stem.removeprefix("en-"): [line.split("\t")[1] for line in _lines(file)]
        for file in sorted(folder.glob("en-*.tsv"))
    }
    english = [line.split("\t")[0].replace("'", "’") for file in folder.glob("en-*.tsv") for line in _lines(file)]
    return {"en": english, **found}


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if "\t" in line]


def told(content: bytes) -> str:
    """Return the encoding by charset-normalizer."""
    best = from_bytes(content, cp_isolation=list(SINGLE_BYTE)).best()
    return best.encoding if best else "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    texts, rng = sentences(parser.parse_args().folder), random.Random(1)
    for size in (1, 5, 50):
        for encoding in SINGLE_BYTE:
            right, number = {"nestling": 0, "charset-normalizer": 0}, 0
            for language in texts:
                pool = [text for text in texts[language] if size > 1 or not text.isascii()]
                for _ in range(SAMPLES):
                    text = "\n".join(rng.sample(pool, size))
                    content = text.encode(encoding, "ignore")
                    if content.isascii() or len(content) < len(text):
                        continue
                    number += 1
                    ways = {"nestling": encoding_of(io.BytesIO(content)), "charset-normalizer": told(content)}
                    for way, name in ways.items():
                        right[way] += name != "none" and content.decode(name, "replace") == text
            shares = ", ".join(f"{way} {count / number:.3f}" for way, count in right.items())
            sys.stdout.write(f"{size} sentences in {encoding} ({number}): {shares}\n")


if __name__ == "__main__":
    main()
