"""Which language a text is in (lingua)."""

from collections.abc import Sequence
from functools import cache

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

from nestling.errors import UserError

_ENOUGH = 1000  # characters: more of a text changes no answer


@cache
def _detector() -> LanguageDetector:
    return LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()


def language(code: str) -> Language:
    """Return lingua's language for an ISO 639-1 code.

    Raises:
        UserError: there is no such language.
    """
    found = next((entry for entry in Language.all() if entry.iso_code_639_1.name.lower() == code), None)
    if found is None:
        raise UserError(
            f"shared.languages holds {code!r}, which is no ISO 639-1 code of a language that can be recognised: "
            f"there are {', '.join(sorted(entry.iso_code_639_1.name.lower() for entry in Language.all()))}"
        )
    return found


def best_language(texts: Sequence[str], wanted: Sequence[str]) -> list[tuple[str, float]]:
    """Return for each text the likeliest of the wanted languages (ISO 639-1) and its probability among all."""
    codes = {language(code): code for code in wanted}
    answers = _detector().compute_language_confidence_values_in_parallel([text[:_ENOUGH] for text in texts])
    best: list[tuple[str, float]] = []
    for values in answers:
        ranked = [(value.value, codes[value.language]) for value in values if value.language in codes]
        share, code = max(ranked, default=(0.0, wanted[0]))
        best.append((code, share))
    return best
