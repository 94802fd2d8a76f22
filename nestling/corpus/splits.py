"""Train, dev or test: decided a group at a time by a hash of its content, and never taken back.

A ledger holds what was ever held out, by content, by document and by recorded query. A group with a member that was
ever test is test, else one with a member that was ever dev is dev; only of the others a hash decides. So renaming
moves nothing, since content counts; editing moves nothing held out, since documents count; and no bond makes training
text of a test.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from nestling.corpus.cleaning import normalized
from nestling.corpus.ids import content_id
from nestling.errors import UserError
from nestling.tables.corpus import SPLITS

DOCUMENT, TEXT, SENTENCE, QUERY = "document", "text", "sentence", "query"
LEDGER: dict[str, Any] = {
    "split": pl.Enum(SPLITS),
    "item": pl.String,
    "name": pl.String,
}  # the Enum's order: test outweighs dev
FEW = 4  # held-out ids with other text are edits or renamed files, as far as anybody can tell
LARGE, SWALLOWS = 0.2, 0.5  # of all texts: a group that is worth a warning; one that may not be held out


@dataclass(frozen=True)
class Shares:
    """How many of the groups are wished for in dev and test, and the seed of the draw."""

    dev: float
    test: float
    seed: int

    def at(self, place: float) -> str:
        """Return the split that a place from 0 to 1 falls into."""
        if place < self.dev:
            return "dev"
        return "test" if place < self.dev + self.test else "train"


def text_name(text: str) -> str:
    """Return the name of a content; case and blanks are not told apart."""
    return content_id(" ".join(text.casefold().split()))


def read_ledger(path: Path) -> pl.DataFrame:
    """Return what was ever held out, split, item and name; nothing where there is no ledger yet.

    Raises:
        UserError: a line is none of a ledger, as after a merge that was not settled.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return pl.DataFrame(
        [_entry(path, number, line) for number, line in enumerate(lines, start=1)], schema=LEDGER, orient="row"
    )


def _entry(path: Path, number: int, line: str) -> tuple[str, str, str]:
    try:
        entry = json.loads(line)
        split, item, name = entry["split"], entry["item"], entry["name"]
    except (ValueError, TypeError, KeyError):
        split, item, name = "", "", None
    if split not in SPLITS or not isinstance(item, str) or not isinstance(name, str):
        raise UserError(
            f"{path}:{number} is no line of a ledger of splits: {line[:60]!r}; after a merge keep the lines of both "
            "sides"
        )
    return split, item, name


def ledger_text(ledger: pl.DataFrame) -> str:
    """Return the ledger as JSON lines, the strongest word on each name, in order: same entries, same bytes."""
    strongest = ledger.group_by("item", "name").agg(pl.col("split").max()).sort("split", "item", "name")
    rows = strongest.select("split", "item", "name").iter_rows(named=True)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def assign(members: pl.DataFrame, ledger: pl.DataFrame, shares: Shares) -> dict[str, str]:
    """Return the split of every group.

    What no ledger knows is placed by a hash of the seed and the smallest name of its contents. A group too large to be
    held out is trained on. Where a wished-for split, train before all, would stay empty, which happens to small sets
    only, the group nearest to its border is moved there.

    Args:
        members: group, item and name of everything that a group holds.
        ledger: as `read_ledger` gives it.
        shares: wished for.
    """
    groups = _groups(members, ledger, shares)
    splits = {group: said or found for group, said, found in groups.select("group", "said", "found").iter_rows()}
    place = dict(groups.filter(pl.col("said").is_null()).select("group", "place").iter_rows())
    if splits and place and "train" not in splits.values():
        splits[max(place, key=lambda group: place[group])] = "train"
    small = {*groups.filter(~pl.col("large"))["group"]} & place.keys()
    for name, share, border in (("dev", shares.dev, 0.0), ("test", shares.test, shares.dev)):
        train = [group for group, split in splits.items() if split == "train"]
        free = [group for group in train if group in small]
        if share and name not in splits.values() and free and len(train) > 1:
            splits[min(free, key=lambda group: (abs(place[group] - border), place[group]))] = name
    return splits


def reused_ids(members: pl.DataFrame, ledger: pl.DataFrame) -> list[str]:
    """Return the held-out document ids that now stand for other text, as numbers of rows do when a row goes.

    An edited document keeps its id and loses text. Where most held-out ids stand for text that was not held out, and
    yet hardly any held-out text is gone, the text has gone to other ids.

    Args:
        members: group, item and name of everything that a group holds.
        ledger: as `read_ledger` gives it.
    """
    held = ledger.filter(pl.col("split") != "train")
    there = members.join(held, on=["item", "name"], how="semi")
    texts, ids = there.filter(pl.col("item") != DOCUMENT), there.filter(item=DOCUMENT)
    gone = held.filter(item=TEXT).height - texts["name"].n_unique()
    strange = ids.join(texts, on="group", how="anti")["name"].to_list()
    return strange if len(strange) > max(ids.height / 2, 2 * gone, FEW) else []


def split_queries(recorded: pl.DataFrame, holders: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """Return the recorded queries with `split`: the last of train, dev, test that a document of theirs was ever in.

    A test query whose test document is taken away stays a test query, whatever other documents it names.

    Args:
        recorded: query_id, document_id, text.
        holders: document_id, split, of the documents whose text is kept.
        ledger: as `read_ledger` gives it.
    """
    now = holders.group_by("document_id").agg(pl.col("split").cast(LEDGER["split"]).max())
    said = ledger.filter(item=QUERY).select("name", said="split")
    named = (
        recorded.with_columns(name=pl.col("text").map_elements(_query_name, return_dtype=pl.String))
        .join(now, on="document_id", how="left", maintain_order="left")
        .join(said, on="name", how="left", maintain_order="left")
    )
    last = pl.col("split").fill_null("train").max().over("name")
    return named.with_columns(split=pl.when(pl.col("said") > last).then("said").otherwise(last)).drop("name", "said")


def entered_queries(ledger: pl.DataFrame, queries: pl.DataFrame) -> pl.DataFrame:
    """Return the ledger with the recorded queries that are held out now, as `split_queries` gives them."""
    held = queries.filter(pl.col("split") != "train")
    names = held.select("split", item=pl.lit(QUERY), name=pl.col("text").map_elements(_query_name, pl.String))
    return pl.concat([ledger, names]).unique()


def _query_name(text: str) -> str:
    return content_id(normalized(text))


def _groups(members: pl.DataFrame, ledger: pl.DataFrame, shares: Shares) -> pl.DataFrame:
    """Return group, leader, size (of all contents, from 0 to 1), place, large, said (by the ledger) and found."""
    contents = members.filter(pl.col("item") != DOCUMENT)
    known = members.join(ledger, on=["item", "name"]).group_by("group").agg(said=pl.col("split").max().cast(pl.String))
    groups = (
        contents.group_by("group")
        .agg(leader=pl.col("name").min(), size=pl.len() / max(contents.height, 1))
        .join(known, on="group", how="left")
        .sort("leader", "group")
    )
    most = max(LARGE, min(SWALLOWS, 2 / max(groups.height, 1)))  # of a handful of groups each is large
    places = [_place(leader, shares.seed) for leader in groups["leader"]]
    placed = groups.with_columns(place=pl.Series(places, dtype=pl.Float64), large=pl.col("size") > most)
    at = pl.Series([shares.at(place) for place in places], dtype=pl.String)
    return placed.with_columns(at=at, found=pl.when("large").then(pl.lit("train")).otherwise(at))


def entered(ledger: pl.DataFrame, members: pl.DataFrame, splits: Mapping[str, str], shares: Shares) -> pl.DataFrame:
    """Return the ledger with what is held out now.

    Of groups that are trained on nothing is entered, or a large corpus would fill it, but for the leader of one that
    its place would hold out, or that may have to stand in for a split that is empty: it stays where it is.
    """
    by_group = pl.DataFrame([*splits.items()], {"group": pl.String, "split": LEDGER["split"]}, orient="row")
    now = members.join(by_group, on="group", maintain_order="left")
    wished = {name for name, share in (("dev", shares.dev), ("test", shares.test)) if share}
    wanting = pl.lit(not wished <= {*splits.values()})
    trained = now.filter(split="train").select("group").unique()
    pinned = (
        _groups(members, ledger, shares)
        .join(trained, on="group", how="semi")
        .filter((pl.col("at") != "train") | wanting)
    )
    leaders = now.join(pinned.select("group", name="leader"), on=["group", "name"], how="semi")
    held_out = now.filter(pl.col("split") != "train")
    return pl.concat([ledger, *(rows.select(list(LEDGER)) for rows in (held_out, leaders))]).unique()


def check_room(members: pl.DataFrame, splits: Mapping[str, str], ledger: Path) -> None:
    """Refuse splits that leave too little to train on.

    Raises:
        UserError: everything is held out, or one group that is holds more than half of all contents.
    """
    fresh = f"without {ledger} the splits are drawn anew, and no figure compares with one of before"
    if splits and "train" not in splits.values():
        raise UserError(
            f"everything that is left was held out before and nothing is trained on: bring more, or {fresh}"
        )
    sizes = members.filter(pl.col("item") != DOCUMENT)["group"].value_counts(sort=True)
    for group, size in sizes.head(1).iter_rows():
        share = size / sizes["count"].sum()
        if share > SWALLOWS and splits[group] != "train":
            names = members.filter((pl.col("group") == group) & (pl.col("item") != TEXT))["name"].unique().sort()
            raise UserError(
                f"{share:.0%} of the set are one group that shares text with what was held out for {splits[group]} "
                f"({', '.join(map(repr, names.head(3)))} ...): too little is left to train on. Take the text that "
                f"joins them out, raise prepare.near_duplicate or lower prepare.max_copies; {fresh}"
            )


def largest_share(members: pl.DataFrame) -> float:
    """Return the share of all contents that the largest group holds."""
    sizes = members.filter(pl.col("item") != DOCUMENT)["group"].value_counts()["count"].to_list()
    return max(sizes) / sum(sizes) if sizes else 0.0


def _place(leader: str, seed: int) -> float:
    digest = hashlib.blake2b(content_id(str(seed), leader).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
