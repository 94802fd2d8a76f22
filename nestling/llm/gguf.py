"""A GGUF file, which is what llama.cpp reads, as a folder that vLLM loads: `python -m nestling.llm.gguf FILE FOLDER`.

FILE may also be the name of an installed package that holds one. Needs the package gguf. The weights are turned back
into bfloat16, so that the folder takes several times what the file does; what was lost when they were quantised stays
lost.
"""

import shutil
import struct
import sys
from importlib.util import find_spec
from pathlib import Path

from nestling.cli import run, say
from nestling.errors import UserError
from nestling.models import fingerprint


def convert(file: Path, folder: Path) -> None:
    """Write the model, the tokenizer and the chat template of a GGUF file into a folder, whole or not at all.

    Raises:
        UserError: the package gguf is missing, the folder holds something, or transformers cannot read the file.
    """
    if find_spec("gguf") is None:
        raise UserError("reading a GGUF file needs the package gguf: pip install -c constraints.txt -e '.[gguf]'")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: name a new folder")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**where)
        stored = GgufConfig(dequantize=True)  # else transformers cannot save it
        model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16, quantization_config=stored)
    # what transformers lets through: struct.error and ValueError for a file that is cut or none, ValueError for an
    # architecture, KeyError for a kind of tokenizer, NotImplementedError for a model or a quantisation it cannot take
    except (OSError, ValueError, KeyError, NotImplementedError, struct.error) as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{file} cannot be converted ({why}): take the model's own safetensors, or a server") from None
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def located(name: str) -> Path:
    """Return a GGUF file by its path, or by the installed package that holds it.

    Raises:
        UserError: there is no such file, or the package holds none or several.
    """
    if (file := Path(name).expanduser()).is_file():
        return file
    package = find_spec(name) if name.isidentifier() else None
    places = package.submodule_search_locations if package else None
    found = sorted(file for place in places or () for file in Path(place).rglob("*.gguf"))
    if len(found) != 1:
        told = f"package {name} holds {len(found)} GGUF files" if places else f"there is no file or package {name}"
        raise UserError(f"{told}: name the file itself")
    return found[0]


def main() -> None:
    """Convert, and say what to write into params.yaml."""
    if len(sys.argv) != 3:
        raise UserError("python -m nestling.llm.gguf FILE FOLDER")
    folder = Path(sys.argv[2])
    convert(located(sys.argv[1]), folder)
    say(f"generate.llm.model: {{name: {folder}, revision: {fingerprint(folder)}}}")


if __name__ == "__main__":
    run(main)
