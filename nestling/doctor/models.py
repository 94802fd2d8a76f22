"""Where a model's weights are, and how many bytes: in a folder, in the hub's cache, on the hub. Fetches none."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from nestling.doctor.findings import Finding, lack
from nestling.doctor.network import LATE, PATIENCE, patiently
from nestling.errors import UserError
from nestling.llm.weights import FROM_GGUF, GGUF, is_gguf, needed_bytes

_COMMIT, _FINGERPRINT = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")  # of an LLM; what else stands in its place is a folder


@dataclass(frozen=True)
class Weights:
    """A model's weights: their bytes, and where they are."""

    size: int
    where: str = "in the folder"
    folder: Path | None = None  # None where it is on the hub only

    @property
    def here(self) -> bool:
        """Whether it is on this machine."""
        return self.folder is not None


def llm_weights(model: str, revision: str, dtype: str) -> Weights | Finding:
    """Return the weights of an LLM, or what is missing; a folder's fingerprint, which takes long, is not compared."""
    if is_gguf(model):
        return lack(f"{model} {GGUF}", FROM_GGUF)
    folder, dtype = Path(model).expanduser(), "float32" if dtype == "float32" else "auto"
    if not (folder.is_dir() or len(revision) == 64 or not _HUB_NAME.fullmatch(model)):
        return on_hub(model, revision, dtype)
    weights = in_folder(folder, dtype)
    if isinstance(weights, Weights) and not _FINGERPRINT.fullmatch(revision):
        return lack(f"{model}: revision is {revision!r}, no fingerprint", "the first `dvc repro` says what to write")
    return weights


def in_folder(folder: Path, dtype: str = "") -> Weights | Finding:
    """Return the weights in a folder, or what is missing; `dtype` is that of an LLM, and empty for an encoder."""
    try:
        if not folder.is_dir():
            return lack(f"there is no folder {folder}", "correct the name, or bring the folder")
        if not any((folder / name).is_file() for name in ("config.json", "modules.json")):
            return lack(f"{folder} holds no config.json", "bring the model whole")
        if not (files := list(folder.glob("*.safetensors" if dtype else "**/*.safetensors"))):
            return lack(f"{folder} holds no *.safetensors; pickled weights are never loaded", "convert the model")
        if dtype and not _can_chat(folder):
            way_out = "choose a model that was taught to chat (instruct, chat, it)"
            return lack(f"{folder} holds no chat template", way_out)
        size = needed_bytes(folder, dtype) if dtype else sum(file.stat().st_size for file in files)
        return Weights(size, folder=folder)
    except UserError as error:
        return lack(*str(error).rsplit(": ", 1))
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        return lack(f"{folder} cannot be read ({error})", "see to its permissions, or bring the model whole")


def _can_chat(folder: Path) -> bool:
    settings = folder / "tokenizer_config.json"
    told = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    return bool(told.get("chat_template")) or (folder / "chat_template.jinja").is_file()


def on_hub(model: str, revision: str, dtype: str = "") -> Weights | Finding:
    """Return the weights of a model of the hub, in its cache here or as the hub tells of them; or what is missing."""
    from huggingface_hub import snapshot_download

    if not _COMMIT.fullmatch(revision):
        return lack(f"{model} is not pinned by the 40 digits of a commit", "its page shows them under Files, History")
    try:
        with suppress(OSError):  # it is not here
            folder = Path(snapshot_download(model, revision=revision, local_files_only=True))
            if isinstance(weights := in_folder(folder, dtype), Weights):  # else it was fetched in part
                return replace(weights, where="in the hub's cache here")
    except ValueError:
        return lack(f"{model} is no name of the hub", "correct it")
    late: Weights | str = f"gives {LATE}"
    told = patiently(lambda: _ask_hub(model, revision), late)
    way_out = "see to name, revision, network and `hf auth login`, or bring it as a folder"
    return told if isinstance(told, Weights) else lack(f"{model} is not here, and the hub {told}", way_out)


def _ask_hub(model: str, revision: str) -> Weights | str:
    """Return the weights, or what the hub does instead of telling of them."""
    from huggingface_hub import HfApi, errors

    try:
        told = HfApi().model_info(model, revision=revision, timeout=2 * PATIENCE, files_metadata=True)
    except errors.RevisionNotFoundError:
        return f"has it, but not at {revision[:12]}"
    except errors.RepositoryNotFoundError:
        return "has it not, or hides it"
    except errors.OfflineModeIsEnabled:
        return "is not asked, for HF_HUB_OFFLINE is set"
    except errors.HfHubHTTPError as error:
        return f"answers HTTP {error.response.status_code}"
    except (httpx2.HTTPError, httpx2.InvalidURL, errors.OIDCError, OSError, ValueError, TypeError, KeyError) as error:
        return f"cannot be reached ({type(error).__name__})"
    files = [file for file in told.siblings or () if file.rfilename.endswith(".safetensors")]
    if not files:
        return "has no *.safetensors of it"
    size = sum(file.size or 0 for file in files if "consolidated" not in file.rfilename)  # the same weights once more
    gated = " (gated: `hf auth login`)" if told.gated else ""
    return Weights(size, f"on the hub, fetched when needed{gated}")
