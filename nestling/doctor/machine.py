"""Checks of the machine: Python, cores and memory, torch, GPUs."""

import os
import platform
import shutil

from nestling.doctor.facts import Facts, at
from nestling.doctor.findings import Finding, gib, lack


def check_python(facts: Facts) -> Finding:
    """Say which versions run."""
    return Finding("ok", f"{platform.python_version()}, nestling {facts.installed.get('nestling', 'not installed')}")


def check_machine(facts: Facts) -> Finding:
    """Say how much of it there is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory, disk = f"{gib(facts.free)} of {gib(facts.total)} memory free", gib(shutil.disk_usage(".").free)
    return Finding("ok", f"{cores} cores, {memory}, {disk} of disk free")


def check_torch(facts: Facts) -> Finding:
    """Say which torch there is."""
    if facts.torch:
        return Finding("ok", facts.torch)
    return lack(f"does not load: {facts.blind}", "install it anew: pip install --force-reinstall torch")


def check_gpus(facts: Facts) -> Finding:
    """Say which GPUs torch sees; params.yaml may ask for one."""
    if facts.gpus:
        each = (f"{gpu.name} ({gib(gpu.free)} of {gib(gpu.total)} free)" for gpu in facts.gpus)
        return Finding("ok", f"{len(facts.gpus)}: {', '.join(each)}")
    why = f" ({facts.blind})" if facts.torch and facts.blind else ""
    if at(facts.params, "shared.encode.device") == "cuda":
        return lack(f"none{why}", "shared.encode.device: auto")
    return Finding("--", f"none: encoders and LLM run on the CPU{why}")
