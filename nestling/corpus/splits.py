"""Train, dev or test: decided a group at a time by a hash, so that new documents move no old one."""

import hashlib
from collections.abc import Iterable

from nestling.corpus.ids import content_id


def assign(groups: Iterable[str], dev_share: float, test_share: float, seed: int) -> dict[str, str]:
    """Return the split of every group.

    A group's split depends on its name and the seed alone. Where a wished-for split, train before all, would stay
    empty, which happens to small sets only, the group nearest to its border is moved there.
    """
    places = {group: _place(group, seed) for group in sorted(set(groups))}
    splits = {group: _at(place, dev_share, test_share) for group, place in places.items()}
    if splits and "train" not in splits.values():
        splits[max(places, key=lambda group: (places[group], group))] = "train"
    for name, share, border in (("dev", dev_share, 0.0), ("test", test_share, dev_share)):
        train = [group for group, split in splits.items() if split == "train"]
        if share and name not in splits.values() and len(train) > 1:
            splits[min(train, key=lambda group: (abs(places[group] - border), group))] = name
    return splits


def _at(place: float, dev_share: float, test_share: float) -> str:
    if place < dev_share:
        return "dev"
    return "test" if place < dev_share + test_share else "train"


def _place(group: str, seed: int) -> float:
    digest = hashlib.blake2b(content_id(str(seed), group).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
