"""Models in folders and on the hub: what pins them, and how they come here. Safetensors only, remote code never."""

import hashlib
from pathlib import Path

from huggingface_hub import snapshot_download

from nestling.errors import UserError

WANTED = ["*.json", "*.txt", "*.model", "*.jinja", "*.safetensors"]  # of a repository: no pickles, no code


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 of everything in a model's folder that decides what it says (all but the model card)."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def fetch(model: str, revision: str, where: str) -> Path:
    """Return the folder of a model of the hub at a revision; it is fetched where it is not here yet.

    Args:
        model: its id on the hub.
        revision: the commit, 40 digits.
        where: the parameter that names it, for the message.

    Raises:
        UserError: it cannot be fetched.
    """
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=WANTED))
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:300]
        raise UserError(
            f"{where}: {model} at {revision[:12]} cannot be fetched from the hub ({why}): check name, revision and "
            "network, or bring the model as a folder"
        ) from None
