"""Near duplicates among short texts, queries above all, where Jaccard over word pairs sees only exact copies.

Of two short texts that differ in a word nothing but that word tells a typo from another question. So the words are
aligned (a soft Dice coefficient, after Soft TF-IDF, Cohen et al. 2003), and a word that stands in the place of another
parts the texts however much they share: "in che anno nacque Verdi" is another question than "... nacque Puccini".
Weights are by length, not by frequency. What the other texts at hand tell is which names there are: Bari and Bali are
two, Verdi and Vredi are not. The constants are measured by `benchmarks/contamination.py`; docs/decisions/0002 says why
there is no encoder here.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import OSA
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer

from nestling.corpus.cleaning import folded_words, normalized
from nestling.corpus.duplicates import Pair
from nestling.corpus.segmentation import is_unspaced

MOST_WORDS = 50  # of a short text; from 17 words on shingles at .8 see one changed word, so both measures overlap
_FULL = 5  # letters from which a word weighs 1; shorter ones are mostly function words
_FULL_UNSPACED = 2  # likewise in scripts without blanks between words, such as Chinese
_EXCHANGED = 0.36  # weight of a word of three letters: so much on both sides that is not aligned, and the texts differ
_REACH = 0.6  # of the threshold: cosine over character 3-grams from which two texts are looked at
_FEATURES = 2**20
_CELLS = 8_000_000  # of a block of cosines, 64 MB
_THOUSANDS = re.compile(r"(?<=\d)[.,'’\u00a0\u202f ](?=\d{3}\b)")
_ELISION = re.compile(r"\b[^\W\d]['’](?=\w)|(?<=\w)['’][^\W\d]\b")  # l'acqua, Verdi's
_RUNS = re.compile(r"(?<!\w)-\d+(?:[.,:/ -]\d+)*|\d+(?:[.,:/ -]\d+)*")  # -5; 3,5; 8:30; 06 1234567
_POINTS = re.compile(r"(?<=\d)[.,:/-]")
_NUMBER = re.compile(r".*\d.*|[ivx]{2,}")  # 1973, xiv
_SIGNED = re.compile(r"[^\W\d]+(?:[+#]+|-)(?!\w)")  # c++, c#, group a-
_SIGN = re.compile(r"[^\w\s.,:/-]")  # 50 $, 50 %
_INSIDE = re.compile(r"(?<=\w)[^\w.?!:]+(\w+)")  # words that begin no sentence
_SMALL = re.compile(r"[aeiouy] .*|[dlmnst] [aeiouh].*")  # a letter that is a word, or elided, and the word behind it
_DERIVED = ("s", "es", "n", "an", "ian")  # what makes another form of a name: German, Germans; Syria, Syrian
_SEEN, _SLIPS = 3, 0.05  # texts with a word, and share of those with the other, from which it is no slip of the other
_ASKING = {  # in Italian, Spanish, Portuguese, Catalan, English: short, and alike ("quando", "quanto")
    word: kind
    for kind, said in {
        "who": "chi quien quienes quem qui who whom",
        "when": "quando cuando quan when",
        "where": "dove donde onde on where",
        "why": "perche porque perque why",
        "how": "come como com how",
        "how much": "quanto quanta quanti quante cuanto cuanta cuantos cuantas quantos quantas quant quants quantes",
    }.items()
    for word in said.split()
}


class ShortText(NamedTuple):
    """A short text as it is compared."""

    words: frozenset[str]  # without accents, lower case
    numbers: frozenset[str]  # those of the words that hold a digit, or are Roman
    digits: frozenset[str]  # runs of digits, with a minus before
    points: frozenset[str]  # numbers of several such runs with points between: 3,5; 8:30; 2019-2020
    closed: frozenset[str]  # all numbers, points in and blanks left out
    signed: frozenset[str]  # words with the sign that makes others of them
    signs: frozenset[str]  # the other signs
    asked: frozenset[str]  # what is asked
    letters: frozenset[str]  # those of the words that are a letter
    naming: frozenset[str]  # letters that are no small words
    common: frozenset[str]  # words written small in a text that writes others large
    joined: str  # all words, without blanks

    @classmethod
    def of(cls, text: str) -> "ShortText":
        plain = _ELISION.sub(" ", _THOUSANDS.sub("", text))
        parts, signed = folded_words(plain), normalized(plain)
        letters = frozenset(part for part in parts if len(part) == 1 and part.isalpha() and not is_unspaced(part))
        runs = [_POINTS.sub(".", run) for run in _RUNS.findall(signed)]
        pieces = [piece for run in runs for piece in run.split(" ")]
        return cls(
            words=frozenset(parts),
            numbers=frozenset(part for part in parts if _NUMBER.fullmatch(part) and not part.isdigit()),
            digits=frozenset(digits for piece in pieces for digits in piece.split(".")),
            points=frozenset(piece for piece in pieces if "." in piece),
            closed=frozenset(run.replace(" ", "") for run in runs),
            signed=frozenset(_SIGNED.findall(signed)),
            signs=frozenset(_SIGN.findall(_SIGNED.sub("", signed))),
            asked=frozenset(_ASKING[part] for part in parts if part in _ASKING),
            letters=letters,
            naming=(letters & _naming(parts)) | _large(plain),
            common=_common(plain),
            joined="".join(parts),
        )

    def measures_other(self, other: "ShortText") -> bool:
        """Say whether numbers or telling signs differ: 3,5 and 35, -5 and 5, C++ and C#, 50 $ and 50 %."""
        alike = self.digits == other.digits and not _exchanged(self.points, other.points)
        numbers = not alike and self.closed != other.closed
        return numbers or self.signed != other.signed or _exchanged(self.signs, other.signs)

    def names_other(self, other: "ShortText") -> bool:
        """Say whether a B12 differs, or a letter or a word that asks stands in the place of another."""
        ours, theirs = self.letters - other.letters, other.letters - self.letters
        letters = bool(ours and theirs and (ours & self.naming or theirs & other.naming))
        return self.numbers != other.numbers or letters or _exchanged(self.asked, other.asked)


@dataclass(frozen=True)
class Vocabulary:
    """The words of the texts at hand.

    Attributes:
        seen: in how many texts a word stands.
        large: in how many of them it is written with a capital letter though it does not begin the text.
    """

    seen: Counter[str]
    large: Counter[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Vocabulary":
        seen: Counter[str] = Counter()
        large: Counter[str] = Counter()
        for text in texts:
            seen.update(set(folded_words(text)))
            large.update(set(folded_words(" ".join(_capitals(text)))))
        return cls(seen, large)

    def names(self, one: str, other: str) -> bool:
        """Say whether two words that are nearly alike are two names, and not one in two forms."""
        few, many = sorted((self.seen[one], self.seen[other]))
        large = all(2 * self.large[word] > self.seen[word] for word in (one, other))
        short, long = sorted((one, other), key=len)
        return few >= max(_SEEN, many * _SLIPS) and large and long.removeprefix(short) not in _DERIVED


NO_WORDS = Vocabulary(Counter(), Counter())


def _capitals(text: str) -> list[str]:
    """Return the words that are written with a capital letter, save the first and those of a text all in capitals."""
    return [] if text.isupper() else [word for word in _INSIDE.findall(text) if word[0].isupper()]


def _common(text: str) -> frozenset[str]:
    """Return the words that are written small inside a text that writes others large; none of another text."""
    small = [word for word in _INSIDE.findall(text) if word[0].islower()] if _capitals(text) else []
    return frozenset(folded_words(" ".join(small)))


def _naming(parts: list[str]) -> set[str]:
    """Return the words that are no small ones, nor elided: in the order of the text, its last being neither."""
    pairs = zip(parts, [*parts[1:], ""], strict=False)
    return {word for word, behind in pairs if not behind or not _SMALL.fullmatch(f"{word} {behind}")}


def _large(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _capitals(text) if len(word) == 1)


def _exchanged(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one - other and other - one)


def likeness(one: ShortText, other: ShortText, known: Vocabulary = NO_WORDS) -> float:
    """Return how much of two texts is the same, from 0 to 1; 0 where a word or number stands in another's place.

    Case, accents, punctuation, blanks, word order and repeated words do not count; words that a typo or an ending
    parts are the same, unless both are known for names. A word that only one text has lowers the value by its weight.
    """
    if one.measures_other(other):
        return 0.0
    if one.joined == other.joined:
        return 1.0
    if one.names_other(other):
        return 0.0
    left, right = set(one.words - other.words), set(other.words - one.words)
    shared = sum(map(_weight, one.words & other.words))
    slips = ((a, b) for a in left for b in right if _same_word(a, b))
    near = ((a, b) for a, b in slips if a in one.common or b in other.common or not known.names(a, b))
    for _, first, second in sorted((OSA.distance(a, b), a, b) for a, b in near):
        if first in left and second in right:
            left.remove(first)
            right.remove(second)
            shared += min(_weight(first), _weight(second))
    alone = sum(map(_weight, left)), sum(map(_weight, right))
    return 0.0 if not shared or min(alone) >= _EXCHANGED else 2 * shared / (2 * shared + sum(alone))


def signs_differ(one: str, other: str) -> bool:
    """Say whether two texts, of at most 50 words each, are two by their numbers or signs, whatever their words."""
    if max(len(folded_words(text)) for text in (one, other)) > MOST_WORDS:
        return False
    return ShortText.of(one).measures_other(ShortText.of(other))


def short_duplicates(left: Sequence[str], right: Sequence[str], threshold: float) -> list[Pair]:
    """Return the pairs of one text of `left` and one of `right`, of at most 50 words each, whose likeness reaches it.

    Time grows with the product of both sizes (character 3-grams, a sparse product in blocks), memory with their sum.
    """
    ours, theirs = _places(left), _places(right)
    if not ours or not theirs:
        return []
    known = Vocabulary.of(dict.fromkeys([*left, *right]))
    texts, asked = list(ours), list(theirs)
    found = []
    for one, other in _candidates(texts, asked, threshold * _REACH):
        similarity = likeness(texts[one], asked[other], known)
        if similarity >= threshold:
            found += [Pair(a, b, similarity) for a in ours[texts[one]] for b in theirs[asked[other]]]
    return found


def _places(texts: Sequence[str]) -> dict[ShortText, list[int]]:
    places: dict[ShortText, list[int]] = {}
    for place, text in enumerate(texts):
        if 0 < len(folded_words(text)) <= MOST_WORDS:
            places.setdefault(ShortText.of(text), []).append(place)
    return places


def _candidates(left: Sequence[ShortText], right: Sequence[ShortText], cosine: float) -> Iterator[tuple[int, int]]:
    known, asked = _vectors(left).T.tocsr(), _vectors(right)
    rows = max(1, _CELLS // len(left))
    for start in range(0, len(right), rows):
        block = (asked[start : start + rows] @ known).tocoo()
        near = block.data >= cosine
        yield from zip(block.col[near].tolist(), (block.row[near] + start).tolist(), strict=True)


def _vectors(texts: Sequence[ShortText]) -> csr_matrix:
    grams = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 3), n_features=_FEATURES, alternate_sign=False, dtype=np.float32
    )
    return csr_matrix(grams.transform(" ".join(sorted(text.words)) for text in texts))


def _weight(word: str) -> float:
    full = _FULL_UNSPACED if is_unspaced(word) else _FULL
    return float(min(len(word), full) / full) ** 2


def _same_word(one: str, other: str) -> bool:
    """Say whether a typo or an ending parts two words; of words of three letters only an ending (car, cars)."""
    if _NUMBER.fullmatch(one) or _NUMBER.fullmatch(other):
        return False
    short, long = sorted((one, other), key=len)
    if len(short) < 3:
        return False
    stem = next((place for place, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    ends = len(short) - stem, len(long) - stem
    if stem >= 3 and ends[0] <= 1 and ends[1] <= 3:  # have, having
        return True
    if stem >= 4 and ends[1] <= 4 and 2 * stem >= len(long):  # rinnovare, rinnovo
        return True
    return len(short) >= 4 and OSA.distance(one, other, score_cutoff=1) <= 1
