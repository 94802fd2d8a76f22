"""Gates that a query written by an LLM passes before it is taken for one; each that fails goes out with its reason.

Judges a query by its own words, by its passage and by the other queries. Whether its passage answers it is for the
judge, whether it can be found for the round trip.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

import polars as pl
from pydantic import Field, PositiveInt

from nestling.corpus.cleaning import folded_words
from nestling.corpus.copying import copied_share
from nestling.corpus.segmentation import word_spans
from nestling.params import Strict
from nestling.queries.languages import language_shares
from nestling.queries.leftovers import Leftovers
from nestling.queries.templates import Template
from nestling.tables.sieve import sieve

# special tokens of chats and tokenizers, and tags; also as a model copies them from a prompt, where a blank follows
# the bracket. A lone < or >, an arrow or [UE] is ordinary text.
_MARKUP = "|".join(
    (
        r"<\s?[|｜]\w",  # <|im_end|>
        r"\w[|｜]\s?>",
        r"<[!?]",  # <!-- -->, <?xml
        r"<\s?/",  # </s>
        r"<[\pL_][^<>]*>",  # <testo>, <start_of_turn>, <<SYS>>
        r"<\s[\pL_]([^<>]*[^<>\s])?>",
        r"<0x[0-9A-F]{2}>",
        r"\[\s?/?[a-z]?[A-Z][A-Z_]{2,}\]",  # [INST], [/INST], [gMASK]
    )
)


class GateParams(Strict):
    """When a query is refused."""

    min_language_share: float = Field(ge=0, le=1)  # probability of the passage's language over the likeliest one's
    language_from_words: PositiveInt  # queries of fewer words with letters are in no language for sure
    max_copied: float = Field(ge=0, le=1)  # longest run of the query's words in the passage, as a share of the query
    copied_from_words: PositiveInt  # queries shorter than this may be copied: a name is a good query
    near_duplicate: float = Field(gt=0, le=1)  # Jaccard similarity of words with an earlier query of the same passage
    max_passages: PositiveInt  # the same words asked of more passages than that single out none


def gate(
    rows: pl.DataFrame,
    passages: pl.DataFrame,
    templates: Mapping[str, Template],
    bounds: Mapping[str, tuple[int, int]],
    params: GateParams,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split queries into those that stay and those that go.

    Args:
        rows: text (cleaned, one line), kind, passage_id, position (in the answer), in any order.
        passages: passage_id, text, language; each passage of `rows` once.
        templates: by language, what the model was shown.
        bounds: by kind, the fewest and the most words of a query.
        params: of the gates.

    Returns:
        The rows that stay and, with a column `reason`, the rows that go; both by passage and position. A row that
        goes for another reason makes no other row a duplicate.
    """
    measured = _measured(rows, passages, templates, params)
    words, fewest, most = pl.col("words"), *(_bound(bounds, end) for end in (0, 1))
    single, out = sieve(
        measured,
        {
            "empty": pl.col("folded").str.len_chars() > 0,
            "markup": ~pl.col("text").str.contains(_MARKUP),
            "debris": ~pl.col("debris"),
            "too_short": words >= fewest,
            "too_long": words <= most,
            "refers_to_text": ~pl.col("refers"),
            "no_query": ~pl.col("no_query"),
            "echo": ~pl.col("echo"),
            "wrong_language": pl.col("share") >= params.min_language_share,
            "copied": pl.col("copied") <= params.max_copied,
            "not_specific": pl.col("passage_id").n_unique().over("folded") <= params.max_passages,
        },
    )
    repeats = pl.Series("repeats", _repeats(single, params.near_duplicate), dtype=pl.Boolean)
    kept, doubled = sieve(single.with_columns(repeats), {"duplicate": ~pl.col("repeats")})
    gone = pl.concat([out, doubled.drop("repeats")]).sort("passage_id", "position", "kind", "text")
    return kept.select(rows.columns), gone.select(*rows.columns, "reason")


def _measured(
    rows: pl.DataFrame, passages: pl.DataFrame, templates: Mapping[str, Template], params: GateParams
) -> pl.DataFrame:
    """Return the rows in order with what the gates look at; share and copied are harmless where nobody looks."""
    ordered = rows.sort("passage_id", "position", "kind", "text").join(
        passages.select("passage_id", "language", passage="text"),
        on="passage_id",
        how="left",
        maintain_order="left",
        validate="m:1",
    )
    sized = ordered.with_columns(
        words=pl.Series([_count(text, str.isalnum) for text in ordered["text"]], dtype=pl.Int64),
        folded=pl.Series([" ".join(folded_words(text)) for text in ordered["text"]], dtype=pl.String),
        spoken=pl.Series([_count(text, str.isalpha) for text in ordered["text"]], dtype=pl.Int64)
        >= params.language_from_words,
    )
    copyable = pl.col("words") >= params.copied_from_words
    return sized.with_columns(
        *_left(sized, templates),
        pl.Series("share", _shares(sized), dtype=pl.Float64),
        pl.Series("copied", _copied(sized.select("text", "passage", copyable=copyable)), dtype=pl.Float64),
    )


def _count(text: str, holds: Callable[[str], bool]) -> int:
    """Return how many words have a character of a sort: a lone dash or question mark is no word."""
    return sum(any(map(holds, text[start:end])) for start, end in word_spans(text))


def _bound(bounds: Mapping[str, tuple[int, int]], end: int) -> pl.Expr:
    of_kind = {kind: both[end] for kind, both in bounds.items()}
    return pl.col("kind").replace_strict(of_kind, return_dtype=pl.Int64)


def _left(rows: pl.DataFrame, templates: Mapping[str, Template]) -> list[pl.Series]:
    """Return what is left of the prompt and of the answer's form in each query, a column for each gate."""
    points = {
        code: [re.compile(text, re.IGNORECASE) for text in template.refers_to_text]
        for code, template in templates.items()
    }
    left = {code: Leftovers(template) for code, template in templates.items()}
    found = [
        (
            any(pattern.search(text) for pattern in points[code]),
            left[code].is_debris(text),
            left[code].is_no_query(text),
            left[code].is_echo(text, passage),
        )
        for text, passage, code in rows.select("text", "passage", "language").iter_rows()
    ]
    names = ("refers", "debris", "no_query", "echo")
    return [pl.Series(name, [row[place] for row in found], dtype=pl.Boolean) for place, name in enumerate(names)]


def _shares(rows: pl.DataFrame) -> list[float]:
    """Return how likely the passage's language is beside others, of the queries that are long enough to be in any."""
    shares = [1.0] * rows.height
    asked = rows.with_row_index("place").filter("spoken")
    for (code,), of_code in asked.group_by("language"):
        for place, share in zip(of_code["place"], language_shares(of_code["text"].to_list(), str(code)), strict=True):
            shares[place] = share
    return shares


def _copied(rows: pl.DataFrame) -> list[float]:
    return [copied_share(text, passage) if copyable else 0.0 for text, passage, copyable in rows.iter_rows()]


def _repeats(rows: pl.DataFrame, near: float) -> Iterator[bool]:
    """Say of each query whether one before it that stays asks the same of the same passage, in almost its words."""
    for _, of_passage in groupby(rows.select("passage_id", "folded").iter_rows(), key=lambda row: row[0]):
        earlier: list[set[str]] = []
        for _, folded in of_passage:
            asked = set(folded.split(" "))
            again = any(len(asked & other) / len(asked | other) >= near for other in earlier)
            if not again:
                earlier.append(asked)
            yield again
