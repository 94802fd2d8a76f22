"""The checks there are, in the order of the screen. A check takes the facts, says one line and changes nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from nestling.doctor.argilla import check_argilla
from nestling.doctor.facts import JUDGE, WRITER, Facts
from nestling.doctor.findings import Finding
from nestling.doctor.llm import check_llm, check_ray, check_vllm
from nestling.doctor.machine import check_gpus, check_machine, check_python, check_torch
from nestling.doctor.project import check_dvc, check_encoder, check_params, check_prompts
from nestling.doctor.training import check_training

CHECKS: dict[str, Callable[[Facts], Finding | None]] = {
    "python": check_python,
    "machine": check_machine,
    "torch": check_torch,
    "gpus": check_gpus,
    "params": check_params,
    "dvc": check_dvc,
    "encoder": check_encoder,
    "training": check_training,
    "llm": partial(check_llm, where=WRITER),
    "judge": partial(check_llm, where=JUDGE),
    "vllm": check_vllm,
    "ray": check_ray,
    "prompts": check_prompts,
    "argilla": check_argilla,
}


def diagnose(facts: Facts) -> dict[str, Finding]:
    """Return the findings of all checks by name; those that wait for an answer wait together."""
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        findings = pool.map(lambda check: check(facts), CHECKS.values())
    return {name: finding for name, finding in zip(CHECKS, findings, strict=True) if finding}
