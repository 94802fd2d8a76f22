"""Which passages are copies of others, which nearly repeat them, and which documents they bond to one group."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import polars as pl

from nestling.corpus.cleaning import normalized, one_line
from nestling.corpus.duplicates import clusters, groups
from nestling.corpus.ids import content_id
from nestling.corpus.splits import DOCUMENT, TEXT, text_name
from nestling.tables.sieve import sieve


def drop_duplicates(passages: pl.DataFrame, threshold: float, max_copies: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep the first of exact copies; documents that share a text, or nearly, get the same `group_id`.

    The same words under another title are another text, unless the titles are but the names of files.
    Near duplicates stay, since the opening hours of Roma do not answer who asks for Milano's; they get the same
    `cluster`. What stands in more than `max_copies` places, a footer or a notice, is boilerplate: none of it is kept,
    and it joins no documents, or half of a web corpus would be one group.
    """
    texts = passages["body"].to_list()
    keys = [normalized(text) for text in _told_apart(passages)]
    exact = groups(len(texts), [*enumerate(_first_alike(keys)), *enumerate(_first_alike(passages["text"]))])
    places = groups(len(texts), [*enumerate(exact), *enumerate(_first_alike(normalized(text) for text in texts))])
    copies = Counter(places)
    common = [copies[first] > max_copies for first in places]
    unique = [place for place, first in enumerate(exact) if place == first and not common[place]]
    near = clusters([texts[place] for place in unique], threshold)
    nearest = {place: unique[leader] for place, leader in zip(unique, near, strict=True)}
    cluster = [nearest.get(first, first) for first in exact]
    marked = passages.with_columns(
        common=pl.Series(common, dtype=pl.Boolean),
        cluster=pl.Series(cluster, dtype=pl.Int64),
        group_id=pl.Series(_document_groups(passages["document_id"].to_list(), cluster, common), dtype=pl.String),
        duplicate_of=pl.Series([passages["document_id"][place] for place in exact], dtype=pl.String),
        kept_text=pl.Series([passages["text"][place] for place in exact], dtype=pl.String),
        exact=pl.Series(exact, dtype=pl.Int64) == pl.int_range(passages.height, eager=True),
    )
    return sieve(marked, {"boilerplate": ~pl.col("common"), "exact_duplicate": pl.col("exact")})


def find_members(unique: pl.DataFrame, doubled: pl.DataFrame) -> pl.DataFrame:
    """Return which documents and which texts, dropped copies too, each group holds: group, item, name."""
    rows = pl.concat(
        [frame.select("group_id", "document_id", "body") for frame in (unique, doubled.filter(~pl.col("common")))]
    )
    texts = rows["body"].map_elements(text_name, return_dtype=pl.String)
    named = {DOCUMENT: rows["document_id"], TEXT: texts}
    return pl.concat(
        rows.select(group="group_id", item=pl.lit(item), name=names) for item, names in named.items()
    ).unique(maintain_order=True)


def find_places(unique: pl.DataFrame, doubled: pl.DataFrame) -> pl.DataFrame:
    """Return the table Place: which passage stands for which document's text, dropped copies too."""
    copies = doubled.filter(~pl.col("common"))
    rows = pl.concat(frame.select("document_id", "kept_text") for frame in (unique, copies))
    return rows.unique(maintain_order=True).select(
        "document_id", passage_id=pl.col("kept_text").map_elements(content_id, return_dtype=pl.String)
    )


def _told_apart(passages: pl.DataFrame) -> Iterator[str]:
    """Yield each passage's text, without a title that is but its file's name."""
    for name, text, body in passages.select("document_id", "text", "body").iter_rows():
        file, title = PurePosixPath(name), text.removesuffix(body).strip()
        yield body if file.suffix and title == one_line(file.stem) else text  # the id of a row has no suffix


def _first_alike(texts: Iterable[str]) -> list[int]:
    first: dict[str, int] = {}
    return [first.setdefault(text, place) for place, text in enumerate(texts)]


def _document_groups(document_ids: list[str], cluster: list[int], common: list[bool]) -> list[str]:
    names = sorted(set(document_ids))
    place = {name: number for number, name in enumerate(names)}
    shared = ((row, first) for row, first in enumerate(cluster) if not common[row])
    links = [(place[document_ids[row]], place[document_ids[first]]) for row, first in shared]
    leaders = groups(len(names), links)
    return [names[leaders[place[name]]] for name in document_ids]
