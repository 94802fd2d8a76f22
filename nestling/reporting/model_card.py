"""The model card: what a person must know before using or comparing a tuned encoder; no text but what it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from huggingface_hub import EvalResult, ModelCardData

from nestling.evaluation.standing import called
from nestling.reporting.limits import limits_section
from nestling.reporting.markdown import escape, fenced, front_matter, hub_licences, table
from nestling.reporting.provenance import data_section, review_section
from nestling.reporting.recipe import encoder_kind, recipe_section
from nestling.reporting.results import LABELS, NDCG, SPEARMAN, Cell, SuiteResult, results_section

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
        heldout: queries of the set's test split that are measured on, by origin.
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
        "Recipe": recipe_section(facts.recipe, facts.reports, facts.seed),
        "Data": data_section(facts.funnel, facts.reports, facts.licences),
        "Review": review_section(facts.reports["curation"]),
        "Limits": limits_section(kind, facts.reports["prepare"]["languages"], facts.results, facts.heldout),
        "Reproduce": _reproduce(),
    }
    if facts.examples:
        sections["Training rows"] = _examples(facts.examples)
    told = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    title = f"# {escape(facts.name)}: a nested sentence encoder"
    return f"{front_matter(_head(facts))}\n\n{title}\n\n{_what(facts)}\n\n{told}\n"


def _head(facts: Facts) -> ModelCardData:
    encoder = facts.recipe["base"]["encoder"]
    return ModelCardData(
        language=list(facts.reports["prepare"]["languages"]),
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "sentence-similarity", "feature-extraction", "matryoshka", "nestling"],
        base_model=encoder["model"] if encoder["kind"] == "hub" else None,
        model_name=facts.name,
        eval_results=[_evaluated(suite, cell) for suite in facts.results for cell in suite.cells],
        **hub_licences(facts.licences),
    )


def _evaluated(suite: SuiteResult, cell: Cell) -> EvalResult:
    task, metric = HUB_TASKS[suite.metric]
    return EvalResult(
        task_type=task,
        task_name=task.replace("-", " ").title(),
        dataset_type="unknown",
        dataset_name=called(suite.suite),
        dataset_config=suite.suite,  # results of one task are told apart by it, not by the name
        metric_type=metric,
        metric_name=f"{LABELS[suite.metric]}, {cell.dim} dimensions",
        metric_value=round(cell.tuned, 4),
    )


def _what(facts: Facts) -> str:
    base = facts.reports["base"]
    dims = ", ".join(map(str, facts.dims))
    return (
        f"Maps a text to a vector whose first numbers are a vector of their own (Matryoshka): {dims} dimensions were "
        f"trained and measured. Raised by nestling on the set {escape(facts.name)} from a "
        f"{encoder_kind(facts.recipe['base']['encoder'])}: {base['dims']} dimensions, "
        f"{base['parameters']:,} parameters."
    )


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
    told = facts.reports["significance"]
    families = "; ".join(f"{found['differences']} differences, {found['family']}" for found in told["holm"].values())
    return f"""Tuned with its 95% interval, and paired differences with theirs and their p, by bootstrap with \
{told["replicates"]:,} resamples; in brackets p as Holm corrects it ({families}). Encoders are cut to each \
dimension; BM25 has none and compares {_words(told["bm25"]["stemmer"])}. Judged@10 is the share of judged documents \
among tuned's first ten; what nobody judged counts as wrong.

{results_section(facts.results)}"""


def _words(stemmer: str | None) -> str:
    return f"words stemmed by the rules of {stemmer} (Snowball)" if stemmer else "words as they are, without a stemmer"


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
