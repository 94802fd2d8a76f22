"""How an encoder was raised: what it came from, and the settings of the stages that decide its quality."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml

from nestling.reporting.markdown import escape, fenced, table
from nestling.reporting.results import LABELS


def recipe_section(recipe: Mapping[str, Any], reports: Mapping[str, Any], seed: int) -> str:
    """Return the recipe as Markdown.

    Args:
        recipe: sections of params.yaml.
        reports: the stages' reports, by name.
        seed: of all random choices.
    """
    mined, base = reports["mine"]["encoder_sha256"], reports["base"]["sha256"]
    which = "the base encoder" if mined == base else "an encoder of an earlier round"
    told = zip(recipe["train"]["phases"], reports["train"]["phases"], strict=True)
    header = ["phase", "data: loss", "epochs", "steps", "best step", "its dev nDCG@10"]
    phases = table(header, [_phase(given, done) for given, done in told])
    return f"""- Base encoder: {encoder_kind(recipe["base"]["encoder"])}, SHA-256 `{base}`.
- Hard negatives were mined with {which}, SHA-256 `{mined}`.
- Seed: {seed}.

{phases}

{_dev(reports["train"])}

{fenced(yaml.safe_dump(_portable(recipe), allow_unicode=True, sort_keys=False), "yaml")}"""


def _dev(train: Mapping[str, Any]) -> str:
    before, after = train["dev_before"], train["dev_after"]
    moved = [
        f"{LABELS[name.removeprefix('dev_')]} from {before[name]:.4f} to {after[name]:.4f}"
        for name in before
        if name.removeprefix("dev_") in LABELS
    ]
    return f"On the dev split training moved {' and '.join(moved)}." if moved else "There is no dev split to watch."


def _portable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe without the place of a local encoder, which is of one machine; its hash stays."""
    encoder = dict(recipe["base"]["encoder"])
    if "folder" in encoder:
        encoder["folder"] = PurePath(encoder["folder"]).name
    return {**recipe, "base": {**recipe["base"], "encoder": encoder}}


def _phase(given: Mapping[str, Any], done: Mapping[str, Any]) -> list[str]:
    losses = ", ".join(f"{task['data']}: {task['loss']['kind']}" for task in given["tasks"])
    best = done.get("best_dev")
    steps = [str(done.get(name, "")) for name in ("steps", "best_step")]
    score = "" if best is None else f"{best:.4f}"
    return [escape(given["name"]), escape(losses), f"{given['epochs']:g}", *steps, score]


def encoder_kind(encoder: Mapping[str, Any]) -> str:
    """Return what the base encoder is, as words."""
    if encoder["kind"] == "hub":
        return f"hub encoder ({escape(encoder['model'])} at {escape(encoder['revision'][:12])})"
    return {"static": "static encoder made from the corpus itself", "path": "local encoder"}[encoder["kind"]]
