"""Whether the section `train` can be right for the base encoder, as far as its folder tells; loads no weights."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from nestling.doctor.facts import Facts
from nestling.doctor.findings import Finding, lack
from nestling.params import at
from nestling.plausible import Machine, Traits, cautions, faults, of_transformer


def check_training(facts: Facts) -> Finding | None:
    """Say what of the section `train` cannot be right, or what it will cost."""
    if not at(facts.params, "train.phases", []):
        return None
    if not (traits := _traits(at(facts.params, "base.encoder", {}))):
        return Finding(
            "--", "the encoder is not here, or does not say what it is; the stage base says whether `train` fits"
        )
    memory = max([gpu.total for gpu in facts.gpus], default=facts.total)
    machine = Machine(memory, None, coarse=False)
    said = faults(facts.params, traits) or cautions(facts.params, traits, machine, 0)
    if not said:
        return Finding("ok", f"dimensions and learning rates fit an encoder of {traits.dims} dimensions")
    found, _, way_out = said[0].rpartition(": ")
    return lack(found, way_out + (f"; and {len(said) - 1} more" if said[1:] else ""))


def _traits(encoder: dict[str, Any]) -> Traits | None:
    """Return what the folder of an encoder tells of it; None where it is not here or tells nothing."""
    if at(encoder, "kind") == "static":
        return Traits(at(encoder, "dims", 0))
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        traits = traits_in(_folder(encoder))
        tokens = at(encoder, "max_tokens", traits.tokens)
        return Traits(traits.dims, min(tokens, traits.tokens or tokens), traits.layers, traits.width, traits.heads)
    return None


def _folder(encoder: dict[str, Any]) -> Path:
    from huggingface_hub import snapshot_download

    if at(encoder, "kind") == "path":
        return Path(at(encoder, "folder"))
    return Path(snapshot_download(at(encoder, "model"), revision=at(encoder, "revision"), local_files_only=True))


def traits_in(folder: Path) -> Traits:
    """Return what the files of an encoder tell of it.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError: they are not those of an encoder.
    """
    from transformers import AutoConfig

    modules = _json(folder / "modules.json") if (folder / "modules.json").exists() else [{"type": "Transformer"}]
    if not modules[0]["type"].endswith("Transformer"):  # a table of vectors: the width of the widest tensor's rows
        return Traits(_row_size(folder / modules[0].get("path", "")))
    config = AutoConfig.from_pretrained(
        folder / modules[0].get("path", ""), local_files_only=True, trust_remote_code=False
    )
    told = [folder / module["path"] / "config.json" for module in modules if module["type"].endswith(".Dense")]
    dims = int(_json(told[-1])["out_features"]) if told else 0
    tokens = int(getattr(config.get_text_config(), "max_position_embeddings", 0))
    return of_transformer(config, dims, tokens)


def _row_size(folder: Path) -> int:
    with safe_open(folder / "model.safetensors", "np") as weights:
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118 - no mapping
    return int(max(shapes, key=lambda shape: shape[0])[-1])


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
