"""Whether a query is in the language that is wanted, among those that it may be taken for (lingua, high accuracy)."""

from collections.abc import Sequence
from functools import cache

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

from nestling.corpus.language import is_recognised, language

# What the wanted language is told from; in other scripts lingua tells all. The near ones count in full, a far
# one must be ten times as likely, which refuses no good query more and still catches most of its texts. Against all 75
# languages alike more good queries are refused, and in low accuracy far more (benchmarks/gates.py, docs/log.md).
NEAR = ("ca", "de", "en", "es", "fr", "it", "pt")
FAR = ("cs", "da", "fi", "hr", "hu", "id", "nl", "pl", "ro", "sv", "tr", "vi")
_FAR_COUNTS = 0.1
_BATCH = 4096  # texts of which lingua says at once how likely each of its languages is


def language_shares(texts: Sequence[str], wanted: str) -> list[float]:
    """Return for each text the probability of the wanted language (ISO 639-1) over that of the likeliest one.

    Returns:
        At least 1 where none is likelier, or the detector does not know the wanted one; 0 where the text is in the
        script of none of them.

    Raises:
        UserError: there is no such language.
    """
    if not is_recognised(wanted):
        return [1.0] * len(texts)
    shares: list[float] = []
    for start in range(0, len(texts), _BATCH):
        part = list(texts[start : start + _BATCH])
        for values in _detector(wanted).compute_language_confidence_values_in_parallel(part):
            found = {value.language: value.value for value in values}
            rival = max((found.get(other, 0.0) * counts for other, counts in _rivals(wanted).items()), default=0.0)
            own = found.get(language(wanted), 0.0)
            shares.append(own / rival if rival else float(own > 0))
    return shares


@cache
def _rivals(wanted: str) -> dict[Language, float]:
    counts = dict.fromkeys(FAR, _FAR_COUNTS) | dict.fromkeys(NEAR, 1.0)
    return {language(code): count for code, count in counts.items() if code != wanted}


@cache
def _detector(wanted: str) -> LanguageDetector:
    return LanguageDetectorBuilder.from_languages(language(wanted), *_rivals(wanted)).build()
