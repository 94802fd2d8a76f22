"""What in the section `train` cannot be right for an encoder: told by `doctor` and `base`, before any data is built.

Reads params.yaml as it stands: what is missing or of another type is passed over, for the stage whose it is says so.
Decides nothing that a stage writes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nestling.params import at

RECIPE = "recipes/hub-small.yaml"
# Ranking losses that take a copy of a passage in the batch for a negative of the query that it answers. A guide does
# not find the copy nearer than the passage, so it does not spare it either.
UNMASKED = ("mnrl", "cached_mnrl", "gist", "cached_gist")
_HIGHEST_RATE = 1e-4  # a small transformer still learnt with it (docs/log.md); those of static encoders ruin it
_LONG = 1.0  # hours of training from which they are foretold
_PASSES = 3  # a backward pass costs two forward passes
_QUERY_TOKENS = 16
_WRITTEN = 1.0  # queries of people a passage at least, where there are any
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
    found = [order_fault(dims, at(tree, "train.weights", [0.0] * len(dims)))]
    found.append(dims_fault(dims, traits.dims, "train.dims", static=not traits.layers))
    for phase in _phases(tree):
        found += [rate_fault(_name(phase), _number(phase, "learning_rate"), traits), _repeats_fault(phase, tree)]
    return [sentence for sentence in found if sentence]


def order_fault(dims: Sequence[int], weights: Sequence[float]) -> str:
    """Return the sentence for Matryoshka dimensions that are none, or do not go with their weights, or nothing."""
    if below := [dim for dim in dims if dim < 1]:
        return f"train.dims holds {below[0]}, and a vector has one dimension at least: correct train.dims"
    if len(dims) != len(weights):
        return f"train.dims has {len(dims)} entries and train.weights {len(weights)}: one a dimension"
    if sorted(set(dims), reverse=True) != list(dims):
        return f"train.dims is {list(dims)}: write each dimension once, largest first"
    return ""


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


def _repeats_fault(phase: Mapping[str, Any], tree: Mapping[str, Any]) -> str:
    told = [(_WRITTEN if kind == "recorded" else queries, weight) for kind, queries, weight in _sources(tree)]
    rows = sum(queries * max(1.0, weight) for queries, weight in told if weight)
    kinds = [at(task, "loss.kind") for task in at(phase, "tasks", [])] if rows > 1 else []
    return next(filter(None, (repeats_fault(_name(phase), kind, at(phase, "sampler")) for kind in kinds)), "")


def repeats_fault(phase: str, kind: str, sampler: str) -> str:
    """Return the sentence for a loss that takes the copies of a passage that there are for negatives, or nothing."""
    if kind not in UNMASKED or sampler != "batch_sampler":
        return ""
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
    """Return how many rows the sources make of a passage, by the weights of `balance`; people's are not counted."""
    return sum(queries * weight for _, queries, weight in _sources(tree))


def _sources(tree: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Yield kind, queries a passage (0 where people wrote them) and how often `balance` takes a row of each source."""
    weights = at(tree, "balance.origins", {})
    for source in at(tree, "generate.sources", []):
        kind = str(at(source, "kind", ""))
        kinds = at(tree, "generate.llm.writing.kinds", {}) if kind == "llm" else {}
        queries = sum(_number(one, "queries") for one in kinds.values())
        if kind == "extractive":
            queries += sum(_number(source, name) for name in ("keywords", "cloze", "titles"))
        weight = weights.get(kind, 1.0)
        yield kind, queries, float(weight) if isinstance(weight, int | float) else 1.0


def of_transformer(config: Any, dims: int, tokens: int, weights: int = 0) -> Traits:
    """Return the traits of a transformer by its configuration, under whatever names its kind has them.

    Args:
        config: of transformers, whose attributes are the same for all kinds (hidden_size is DistilBERT's dim).
        dims, tokens, weights: as of `Traits`; 0 dims for as many as the transformer is wide.
    """
    told = config.get_text_config()
    layers, width, heads = (
        int(getattr(told, name, 0)) for name in ("num_hidden_layers", "hidden_size", "num_attention_heads")
    )
    return Traits(dims or width, tokens, layers, width, heads, weights)


def _phases(tree: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [phase for phase in at(tree, "train.phases", []) if isinstance(phase, Mapping)]


def _name(phase: Mapping[str, Any]) -> str:
    return str(at(phase, "name", "?"))


def _number(tree: Any, path: str) -> float:
    return float(at(tree, path, 0.0) or at(tree, path, 0))
