"""What in the section `train` cannot be right for an encoder: told by `doctor` and `base`, before any data is built.

Reads params.yaml as it stands: what is missing or of another type is passed over, for the stage whose it is says so.
Decides nothing that a stage writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nestling.params import at

RECIPE = "recipes/hub-small.yaml"
# Ranking losses that take a copy of a passage in the batch for a negative of the query that it answers. A guide does
# not find the copy nearer than the passage, so it does not spare it either.
GUIDED = ("gist", "cached_gist")
UNMASKED = ("mnrl", "cached_mnrl", *GUIDED)
_HIGHEST_RATE = 1e-4  # a small transformer still learnt with it (docs/log.md); those of static encoders ruin it
_LONG = 1.0  # hours of training from which they are foretold
_PASSES = 3  # a backward pass costs two forward passes
_QUERY_TOKENS = 16
_SCORE = 16  # bytes of a cosine of a batch at a dimension, with what softmax and its gradient keep
_STATES = 16  # bytes of a weight: itself, its gradient, two of AdamW's moments
# Bytes that the backward pass of a transformer needs of each token and layer, by its width, and of each pair of tokens
# by its heads: multilingual-e5-small took 10.4 GB for 64 queries and 64 passages of 128 tokens in fp32 (docs/log.md).
_KEPT, _KEPT_OF_PAIRS = 120, 16


@dataclass(frozen=True)
class Traits:
    """What of an encoder decides whether it can be trained so.

    Attributes:
        dims: of its vectors.
        tokens: it reads of a text at most.
        layers, width, heads: of its transformer; 0 where there is none in it.
        weights: how many.
    """

    dims: int
    tokens: int = 0
    layers: int = 0
    width: int = 0
    heads: int = 0
    weights: int = 0


@dataclass(frozen=True)
class Machine:
    """Where it will be trained: bytes of memory, and tokens a second forward; None on a GPU."""

    memory: int
    speed: float | None
    coarse: bool  # whether it does bf16 by imitation, slower than fp32


def faults(tree: Mapping[str, Any], traits: Traits) -> list[str]:
    """Return a sentence for everything that cannot work."""
    dims = [dim for dim in at(tree, "train.dims", []) if isinstance(dim, int)]
    found = [dims_fault(dims, traits.dims, "train.dims", static=not traits.layers)]
    for phase in _phases(tree):
        found += [rate_fault(_name(phase), _number(phase, "learning_rate"), traits), _repeats_fault(phase, tree)]
        found += [guide_fault(_name(phase), kind, traits) for kind in dict.fromkeys(_kinds(phase))]
    return [sentence for sentence in found if sentence]


def dims_fault(dims: Sequence[int], size: int, where: str, *, static: bool) -> str:
    """Return the sentence for a Matryoshka dimension above what the encoder has, or nothing."""
    if not (above := [dim for dim in dims if dim > size]):
        return ""
    told = f"{where} holds {above[0]}, but the encoder has {size} dimensions: lower {where}"
    return told + (", or give a static encoder more passages, from which its dimensions come" if static else "")


def rate_fault(phase: str, rate: float, traits: Traits) -> str:
    """Return the sentence for a learning rate that no transformer stands, or nothing."""
    if not traits.layers or rate <= _HIGHEST_RATE:
        return ""
    return (
        f"train.phases {phase}: learning_rate {rate:g} is a static encoder's and ruins a transformer: "
        f"write 1.0e-5, or begin with {RECIPE}"
    )


def guide_fault(phase: str, kind: str, traits: Traits) -> str:
    """Return the sentence for a guided loss of a static encoder, or nothing.

    A guide reads the student's tokens, and a bag of features holds none.
    """
    if traits.layers or kind not in GUIDED:
        return ""
    return f"train.phases {phase}: {kind} wants a transformer, as encoder and as guide: write kind: nested_mnrl"


def _repeats_fault(phase: Mapping[str, Any], tree: Mapping[str, Any]) -> str:
    queries = queries_a_passage(tree)
    if at(phase, "sampler") != "batch_sampler" or queries <= 1:
        return ""
    return next((repeats_sentence(_name(phase), kind) for kind in _kinds(phase) if kind in UNMASKED), "")


def repeats_sentence(phase: str, kind: str) -> str:
    """Return the sentence for a loss that takes copies for negatives."""
    return (
        f"train.phases {phase}: {kind} takes the copies of a passage in a batch for negatives: "
        "write sampler: no_duplicates, or kind: nested_mnrl"
    )


def cautions(tree: Mapping[str, Any], traits: Traits, machine: Machine, passages: int) -> list[str]:
    """Return a sentence for everything that will cost more than somebody may expect."""
    found = []
    halves = [where for where in ("shared.encode.precision", "train.precision") if at(tree, where) == "bf16"]
    if traits.layers and machine.coarse and halves:
        found.append(f"{' and '.join(halves)}: this CPU has no arithmetic for bf16 and is slower with it: write fp32")
    for phase in _phases(tree):
        need = memory_of(phase, tree, traits)
        if need > machine.memory:
            found.append(
                f"train.phases {_name(phase)}: a step may want {need / 2**30:.0f} GiB of memory, and there are "
                f"{machine.memory / 2**30:.0f}: lower batch_size or train.max_tokens, or begin with {RECIPE}"
            )
    steps, hours = work_of(tree, traits, machine, passages)
    if hours > _LONG:
        found.append(
            f"training will take about {steps} steps and, on this CPU, {hours:.0f} hours: fewer queries a passage in "
            f"generate.sources, fewer epochs or a lower train.max_tokens cost less; so does {RECIPE}"
        )
    return found


def memory_of(phase: Mapping[str, Any], tree: Mapping[str, Any], traits: Traits) -> float:
    """Return the bytes that a step of a phase wants at most, all texts being as long as they may."""
    tokens = min(traits.tokens, at(tree, "train.max_tokens", traits.tokens))
    a_text = tokens * traits.layers * (_KEPT * traits.width + _KEPT_OF_PAIRS * traits.heads * tokens)
    found = [0.0]
    for task in at(phase, "tasks", []):
        batch, columns = _number(phase, "batch_size"), 1 + _number(task, "negatives")
        texts = _number(task, "loss.mini_batch") or batch * columns
        found.append(texts * a_text + batch * batch * columns * len(at(tree, "train.dims", [])) * _SCORE)
    return max(found) + traits.weights * _STATES


def work_of(tree: Mapping[str, Any], traits: Traits, machine: Machine, passages: int) -> tuple[int, float]:
    """Return steps, and hours on this machine (0 where they cannot be told), of training on generated queries."""
    rows, tokens = passages * queries_a_passage(tree), min(traits.tokens, at(tree, "train.max_tokens", traits.tokens))
    steps, read = 0.0, 0.0
    for phase in _phases(tree):
        tasks = [task for task in at(phase, "tasks", []) if at(task, "data") == "retrieval"]
        epochs = _number(phase, "epochs")
        steps += len(tasks) * epochs * rows / max(1.0, _number(phase, "batch_size"))
        read += sum(epochs * rows * (_QUERY_TOKENS + tokens * (1 + _number(task, "negatives"))) for task in tasks)
    known = traits.layers and machine.speed
    return round(steps), read * _PASSES / machine.speed / 3600 if known and machine.speed else 0.0


def queries_a_passage(tree: Mapping[str, Any]) -> float:
    """Return how many queries the sources make of a passage; those that people wrote are not counted."""
    found = 0.0
    for source in at(tree, "generate.sources", []):
        kinds = at(tree, "generate.llm.writing.kinds", {}) if at(source, "kind") == "llm" else {}
        found += sum(_number(kind, "queries") for kind in kinds.values())
        if at(source, "kind") == "extractive":
            found += sum(_number(source, name) for name in ("keywords", "cloze", "titles"))
    return found


def _phases(tree: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [phase for phase in at(tree, "train.phases", []) if isinstance(phase, Mapping)]


def _kinds(phase: Mapping[str, Any]) -> list[str]:
    """Return the kinds of a phase's losses."""
    return [at(task, "loss.kind") for task in at(phase, "tasks", [])]


def _name(phase: Mapping[str, Any]) -> str:
    return str(at(phase, "name", "?"))


def _number(tree: Any, path: str) -> float:
    return float(at(tree, path, 0.0) or at(tree, path, 0))
