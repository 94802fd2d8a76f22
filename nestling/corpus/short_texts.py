"""Near duplicates among short texts, queries above all, where Jaccard over word pairs sees only exact copies.

Of two short texts that differ in a word nothing but that word tells a typo from another question. So the words are
aligned (a soft Dice coefficient, after Soft TF-IDF, Cohen et al. 2003), and a word that stands in the place of another
parts the texts however much they share: "in che anno nacque Verdi" is another question than "... nacque Puccini".
Weights are by length, not by frequency: whether two texts are alike depends on these two alone. The constants are
measured by `benchmarks/contamination.py`; docs/decisions/0002 says why there is no encoder here.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import OSA
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer

from nestling.corpus.cleaning import folded_words
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
_NUMBER = re.compile(r".*\d.*|[ivx]{2,}")  # 1973, xiv
_LETTER = re.compile(r"[bcdfghjklmnpqrstvwxz]")  # vitamin c; a vowel alone is a word
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
    named: frozenset[str]  # those that are a letter, and what those ask that ask
    joined: str  # all words, without blanks

    @classmethod
    def of(cls, text: str) -> "ShortText":
        parts = folded_words(_ELISION.sub(" ", _THOUSANDS.sub("", text)))
        asked = (_ASKING.get(part, part) for part in parts if part in _ASKING or _LETTER.fullmatch(part))
        return cls(frozenset(parts), frozenset(filter(_NUMBER.fullmatch, parts)), frozenset(asked), "".join(parts))

    def contradicts(self, other: "ShortText") -> bool:
        """Say whether the numbers differ, or a letter or a word that asks stands in the place of another."""
        return self.numbers != other.numbers or bool(self.named - other.named and other.named - self.named)


def likeness(one: ShortText, other: ShortText) -> float:
    """Return how much of two texts is the same, from 0 to 1; 0 where a word or number stands in another's place.

    Case, accents, punctuation, blanks, word order and repeated words do not count; words that a typo or an ending
    parts are the same. A word that only one text has lowers the value by its weight.
    """
    if one.joined == other.joined:
        return 1.0
    if one.contradicts(other):
        return 0.0
    left, right = set(one.words - other.words), set(other.words - one.words)
    shared = sum(map(_weight, one.words & other.words))
    for _, first, second in sorted((OSA.distance(a, b), a, b) for a in left for b in right if _same_word(a, b)):
        if first in left and second in right:
            left.remove(first)
            right.remove(second)
            shared += min(_weight(first), _weight(second))
    alone = sum(map(_weight, left)), sum(map(_weight, right))
    return 0.0 if not shared or min(alone) >= _EXCHANGED else 2 * shared / (2 * shared + sum(alone))


def short_duplicates(left: Sequence[str], right: Sequence[str], threshold: float) -> list[Pair]:
    """Return the pairs of one text of `left` and one of `right`, of at most 50 words each, whose likeness reaches it.

    Time grows with the product of both sizes (character 3-grams, a sparse product in blocks), memory with their sum.
    """
    ours, theirs = _places(left), _places(right)
    if not ours or not theirs:
        return []
    texts, asked = list(ours), list(theirs)
    found = []
    for one, other in _candidates(texts, asked, threshold * _REACH):
        similarity = likeness(texts[one], asked[other])
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
