"""The data card: what a training set holds, so that `datasets` loads it and a person can judge it."""

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import DatasetCardData

from nestling.reporting.markdown import escape, front_matter, hub_licences, table

_SETS = ("retrieval", "sts")


def data_card(name: str, numbers: Mapping[str, Any], licences: Sequence[str]) -> str:
    """Return the README.md of the balanced sets: YAML that `datasets.load_dataset` reads, then prose.

    Args:
        name: of the set.
        numbers: the balance report.
        licences: of the passages; the most restrictive binds.
    """
    head = DatasetCardData(
        pretty_name=f"{name}, balanced by nestling",
        task_categories=["sentence-similarity", "text-retrieval"],
        configs=[{"config_name": kind, "data_files": files} for kind in _SETS if (files := _files(kind, numbers))],
        **hub_licences(licences),
    )
    header = ["set", "train rows", "distinct", "factor", "dev rows"]
    counted = [
        [
            kind,
            *(
                "-" if numbers[kind][key] is None else str(numbers[kind][key])
                for key in ("rows", "unique", "factor", "dev")
            ),
        ]
        for kind in _SETS
    ]
    return f"""{front_matter(head)}

# {escape(name)}, balanced

{table(header, counted)}

`retrieval` has `anchor`, `positive` and a list of `negatives` (mined, as many as there are:
{numbers["negatives_per_row"]} a row on average). `sts` has `sentence1`, `sentence2` and `score` from 0 to 1. `copy`
counts repetitions of a row.

Licences of the passages: {", ".join(map(escape, licences))}. Queries cut or written from a passage share its licence;
where there are several, the most restrictive binds.

Rows left out because an evaluation suite holds their text: {numbers["leaks_dropped"]}.

Load with `datasets.load_dataset("data/balanced", "retrieval")`.
"""


def _files(kind: str, numbers: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = {"train": numbers[kind]["rows"], "dev": numbers[kind]["dev"]}  # a split without rows cannot be loaded
    return [{"split": split, "path": f"{kind}/{split}.parquet"} for split in rows if rows[split]]
