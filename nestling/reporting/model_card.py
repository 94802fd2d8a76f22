"""The model card: what a person must know before using or comparing a tuned encoder; no text but what it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import polars as pl
import yaml

from nestling.reporting.limits import limits_section
from nestling.reporting.markdown import escape, fenced, front_matter, hub_licences, label, table
from nestling.reporting.results import LABELS, NDCG, SPEARMAN, SuiteResult, results_section

SHOWN = 300  # characters of a quoted text
UNSAID = "not stated"
HUB_TASKS = {  # task and metric as sentence-transformers names them on the hub
    NDCG: ("information-retrieval", "cosine_ndcg@10"),
    SPEARMAN: ("semantic-similarity", "spearman_cosine"),
}


@dataclass(frozen=True)
class Facts:
    """What the card is made of.

    Attributes:
        name: of the set.
        seed: of all random choices.
        recipe: sections of params.yaml.
        reports: the stages' reports, by name.
        results: of the evaluation.
        funnel: the table FunnelRow.
        licences: passages by licence.
        heldout: queries of the held-out suite by origin.
        examples: anchors and positives to quote.
    """

    name: str
    seed: int
    recipe: Mapping[str, Any]
    reports: Mapping[str, Any]
    results: Sequence[SuiteResult]
    funnel: pl.DataFrame
    licences: Mapping[str, int]
    heldout: Mapping[str, int]
    examples: Sequence[tuple[str, str]]

    @property
    def dims(self) -> list[int]:
        return sorted({cell.dim for suite in self.results for cell in suite.cells}, reverse=True)


def model_card(facts: Facts) -> str:
    """Return reports/model_card.md."""
    kind, dims = facts.recipe["base"]["encoder"]["kind"], facts.dims
    sections = {
        "Use": _use(kind, dims),
        "Results": _results(facts),
        "Recipe": _recipe(facts),
        "Data": _data(facts),
        "Review": _review(facts.reports["curation"]),
        "Limits": limits_section(kind, facts.reports["prepare"]["languages"], facts.results, facts.heldout),
        "Reproduce": _reproduce(),
    }
    if facts.examples:
        sections["Training rows"] = _examples(facts.examples)
    told = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    title = f"# {escape(facts.name)}: a nested sentence encoder"
    return f"{front_matter(_head(facts))}\n\n{title}\n\n{_what(facts)}\n\n{told}\n"


def _head(facts: Facts) -> dict[str, Any]:
    encoder = facts.recipe["base"]["encoder"]
    return {
        "language": list(facts.reports["prepare"]["languages"]),
        **hub_licences(facts.licences),
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "sentence-similarity", "feature-extraction", "matryoshka", "nestling"],
        **({"base_model": encoder["model"]} if encoder["kind"] == "hub" else {}),
        "model-index": [{"name": facts.name, "results": [_indexed(suite) for suite in facts.results]}],
    }


def _indexed(suite: SuiteResult) -> dict[str, Any]:
    task, metric = HUB_TASKS[suite.metric]
    called = LABELS[suite.metric]
    return {
        "task": {"type": task, "name": task.replace("-", " ").title()},
        "dataset": {"name": suite.suite, "type": "unknown"},
        "metrics": [
            {"type": metric, "value": round(cell.tuned, 4), "name": f"{called}, {cell.dim} dimensions"}
            for cell in suite.cells
        ],
    }


def _what(facts: Facts) -> str:
    base = facts.reports["base"]
    dims = ", ".join(map(str, facts.dims))
    return (
        f"Maps a text to a vector whose first numbers are a vector of their own (Matryoshka): {dims} dimensions were "
        f"trained and measured. Raised by nestling on the set {escape(facts.name)} from a "
        f"{_kind(facts.recipe['base']['encoder'])}: {base['dims']} dimensions, {base['parameters']:,} parameters."
    )


def _kind(encoder: Mapping[str, Any]) -> str:
    if encoder["kind"] == "hub":
        return f"hub encoder ({escape(encoder['model'])} at {escape(encoder['revision'][:12])})"
    return {"static": "static encoder made from the corpus itself", "path": "local encoder"}[encoder["kind"]]


def _use(kind: str, dims: Sequence[int]) -> str:
    dim = dims[len(dims) // 2]
    ours = f"""from nestling.retrieval.encoders import load_encoder
model = load_encoder("models/tuned")
model.truncate_dim = {dim}
scores = model.similarity(model.encode_query(queries), model.encode_document(passages))"""
    theirs = f"""from sentence_transformers import SentenceTransformer
model = SentenceTransformer("models/tuned", truncate_dim={dim})
scores = model.similarity(model.encode_query(queries), model.encode_document(passages))"""
    note = (
        " The encoder is of nestling's own kind: nestling must be installed, and sentence-transformers loads it by "
        f"itself only with `SentenceTransformer(..., truncate_dim={dim}, trust_remote_code=True)`."
    )
    code = fenced(theirs if kind == "hub" else ours, "python")
    size = f"A vector of {dim} dimensions takes {4 * dim} bytes as float32."
    return f"{code}\n\n{size}{note if kind == 'static' else ''}"


def _results(facts: Facts) -> str:
    replicates = facts.reports["significance"]["replicates"]
    return (
        f"Tuned with its 95% interval, and paired differences with theirs, by bootstrap with {replicates:,} "
        f"resamples. Encoders are cut to each dimension; BM25 has none.\n\n{results_section(list(facts.results))}"
    )


def _recipe(facts: Facts) -> str:
    reports = facts.reports
    mined, base = reports["mine"]["encoder_sha256"], reports["base"]["sha256"]
    which = "the base encoder" if mined == base else "an encoder of an earlier round"
    told = zip(facts.recipe["train"]["phases"], reports["train"]["phases"], strict=True)
    header = ["phase", "data: loss", "epochs", "steps", "best step", "its dev nDCG@10"]
    phases = table(header, [_phase(given, done) for given, done in told])
    return f"""- Base encoder: {_kind(facts.recipe["base"]["encoder"])}, SHA-256 `{base}`.
- Hard negatives were mined with {which}, SHA-256 `{mined}`.
- Seed: {facts.seed}.

{phases}

{_dev(reports["train"])}

{fenced(yaml.safe_dump(_portable(facts.recipe), allow_unicode=True, sort_keys=False), "yaml")}"""


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


def _data(facts: Facts) -> str:
    reports = facts.reports
    steps = facts.funnel.group_by("step", maintain_order=True).agg("what", "rows")
    rows = [
        [label(name), f"{sum(numbers):,}", f"{numbers[0]:,}", _counted(dict(zip(what[1:], numbers[1:], strict=True)))]
        for name, what, numbers in steps.iter_rows()
    ]
    made, kept = reports["generate"]["queries"], reports["filter"]["kept"]
    trained = reports["balance"]["origins"]
    origins = [
        [escape(origin), f"{number:,}", f"{kept.get(origin, 0):,}", f"{trained.get(origin, 0):,}"]
        for origin, number in made.items()
    ]
    licences = [[escape(licence), f"{number:,}"] for licence, number in facts.licences.items()]
    return f"""{table(["step", "came", "stayed", "left, by reason"], rows)}

{table(["queries from", "written", "found again", "training rows, copies counted"], origins)}

{_sizes("retrieval", reports["balance"])}
{_sizes("sts", reports["balance"])}
- Training texts that stand in an evaluation suite and were left out: {reports["balance"]["leaks_dropped"]}.
- Candidates of the miner: {_counted(reports["mine"]["verdicts"])}.

{_unprepared(reports["prepare"]["rejected"])}

{table(["licence of the passages", "passages"], licences)}

Queries cut or written from a passage share its licence."""


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{label(name)} {number:,}" for name, number in numbers.items()) or "none"


def _sizes(kind: str, balance: Mapping[str, Any]) -> str:
    rows, unique = balance[kind]["rows"], balance[kind]["unique"]
    how = "each once" if rows == unique else f"{unique:,} distinct ones {'repeated' if rows > unique else 'sampled'}"
    return f"- Trained on {rows:,} {kind} rows{f' ({how})' if rows else ''}."


def _unprepared(rejected: Mapping[str, Mapping[str, int]]) -> str:
    rows = [
        [label(item), label(reason), f"{number:,}"] for item, out in rejected.items() for reason, number in out.items()
    ]
    if not rows:
        return "Nothing in the set was left out when it was read."
    return table(["left out of the set", "reason", "how many"], rows)


def _review(curation: Mapping[str, Any]) -> str:
    if not curation["answers"]:
        return (
            "No judgements yet: nobody has looked at queries or negatives. How far people agree, and how many of the "
            "mined negatives are false, is unknown."
        )
    return "\n".join(
        (
            f"- {curation['answers']:,} answers by {curation['annotators']} people on {curation['records_judged']:,} "
            f"records: {curation['queries_rewritten']} queries rewritten, {curation['negatives_promoted']} negatives "
            f"made positives, {curation['pairs_regraded']} pairs graded anew.",
            *(f"- Agreement on {label(name)}: {_alpha(found)}." for name, found in curation["agreement"].items()),
            f"- {_false_negatives(curation['false_negative_rate'])}",
        )
    )


def _alpha(found: Mapping[str, Any]) -> str:
    if found["alpha"] is None:
        return "not measurable, for want of things that two people answered, or of any that differ"
    interval = "" if found["low"] is None else f" (95% interval {found['low']:.2f} to {found['high']:.2f})"
    return (
        f"Krippendorff's alpha {found['alpha']:.2f}{interval}, on {found['units']} things that several people answered"
    )


def _false_negatives(found: Mapping[str, Any]) -> str:
    if found["rate"] is None:
        return "False negatives among the mined negatives: no judgements yet."
    unseen = ", ".join(map(label, found["strata_without_answers"]))
    return (
        f"False negatives among the mined negatives: {found['rate']:.1%} (95% interval {found['low']:.1%} to "
        f"{found['high']:.1%}), from {found['judged_negatives']} negatives of {found['judged_queries']} audited "
        f"queries.{f' Nothing is known of the strata {unseen}.' if unseen else ''}"
    )


def _reproduce() -> str:
    code = fenced("dvc repro\ndvc plots show\ndvc metrics diff HEAD~1", "sh")
    return (
        f"In the project this card comes from, at the same commit:\n\n{code}\n\n`dvc.lock` holds the hash of every "
        "input and output. On one machine a rebuild gives the same bytes; on another, a trained encoder's last digits "
        "may differ."
    )


def _examples(examples: Sequence[tuple[str, str]]) -> str:
    rows = [[escape(anchor, SHOWN), escape(positive, SHOWN)] for anchor, positive in examples]
    why = "Quoted because `report.quote_examples` is true; long texts are cut."
    return f"{why}\n\n{table(['query', 'passage'], rows)}"
