"""Which language a text is in (lingua)."""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from babel import Locale, localedata
from babel.core import get_global
from lingua import Language, LanguageDetector, LanguageDetectorBuilder

from nestling.errors import UserError

_ENOUGH = 1000  # characters: more of a text changes no answer
_NAMED_IN = ("en", "it", "pt", "es", "ca", "fr", "de")  # languages in which people name languages
_OWNERS_WORD = 0.001  # probability of the language that the owner named, below which it is not believed


class Recognised(NamedTuple):
    """Languages are ISO 639-1 codes, shares are probabilities among all languages."""

    code: str  # the likeliest of the wanted languages
    share: float
    other: str  # the likeliest of all; empty where the text has no letters
    other_share: float


@cache
def _detector() -> LanguageDetector:
    return LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()


def language(code: str) -> Language:
    """Return lingua's language for an ISO 639-1 code that `is_recognised`."""
    return _detected()[code]


def is_recognised(code: str) -> bool:
    """Tell whether the detector knows a language; others are known by their owner's word alone.

    Raises:
        UserError: there is no such language.
    """
    if (known := code_of(code)) != code:
        hint = f"write {known}" if known else "write codes such as it, pt or km"
        raise UserError(f"shared.languages holds {code!r}, which is no ISO 639-1 code of a language: {hint}")
    return code in _detected()


def code_of(said: str | None) -> str | None:
    """Return the code of a language as people write it (it, IT, it-IT, ita, Italian, italiano), or None.

    It is that of ISO 639-1, or of ISO 639-3 where that has none (fur).
    """
    name = (said or "").strip().casefold()
    return _codes().get(name) or _codes().get(re.split(r"[-_]", name)[0])


def recognise(texts: Sequence[str], wanted: Sequence[str]) -> list[Recognised]:
    """Return for each text which wanted language it is likeliest in, and which of all languages."""
    codes = {language(code): code for code in wanted if is_recognised(code)}
    answers = _detector().compute_language_confidence_values_in_parallel([text[:_ENOUGH] for text in texts])
    found: list[Recognised] = []
    for values in answers:
        ranked = [(value.value, codes[value.language]) for value in values if value.language in codes]
        share, code = max(ranked, default=(0.0, wanted[0]))
        top = values[0] if values and values[0].value > 0 else None
        found.append(Recognised(code, share, *((_code(top.language), top.value) if top else ("", 0.0))))
    return found


def best_language(texts: Sequence[str], wanted: Sequence[str]) -> list[tuple[str, float]]:
    """Return for each text the likeliest of the wanted languages (ISO 639-1) and its probability among all."""
    return [(found.code, found.share) for found in recognise(texts, wanted)]


def is_certainly_not(text: str, said: str, other: str) -> bool:
    """Tell whether `text` is in the language `other` beyond the word of its owner, who said that it is in `said`.

    The owner's word counts 1000 to 1. The two languages alone are compared, with the detector's large models: the
    small ones take technical texts, full of names and numbers, for languages that nobody uses.
    """
    if other in ("", said) or not is_recognised(said):
        return False
    share = _between(said, other).compute_language_confidence(text[:_ENOUGH], language(said))
    return bool(share < _OWNERS_WORD)


@cache
def _between(one: str, other: str) -> LanguageDetector:
    return LanguageDetectorBuilder.from_languages(language(one), language(other)).build()


@cache
def _detected() -> dict[str, Language]:
    return {_code(entry): entry for entry in Language.all()}


@cache
def _codes() -> dict[str, str]:
    """Return the code of each language by its names: of the former before the latter."""
    known = [code for code in map(str, Locale("en").languages) if len(code) == 2 or localedata.exists(code)]
    names = {
        str(name).casefold(): str(code).split("_")[0]
        for language in reversed(_NAMED_IN)
        for code, name in Locale(language).languages.items()
        if code in known
    }
    names |= {other: code.split("_")[0] for other, code in get_global("language_aliases").items()}
    names |= {code: code for code in known if "_" not in code}
    names |= {"no": "nb"}  # the detector knows Norwegian by its two standards
    for entry in Language.all():
        names |= dict.fromkeys((entry.name.lower(), entry.iso_code_639_3.name.lower(), _code(entry)), _code(entry))
    return names


def _code(entry: Language) -> str:
    return str(entry.iso_code_639_1.name.lower())
