"""Checks of the project in this folder: params.yaml, DVC, the base encoder, the prompts."""

from pathlib import Path

from nestling.doctor.facts import PARAMS, Facts, at
from nestling.doctor.findings import Finding, gib, lack
from nestling.doctor.models import in_folder, on_hub
from nestling.doctor.network import shown
from nestling.errors import UserError
from nestling.queries.templates import load_template


def check_params(facts: Facts) -> Finding:
    """Say whether params.yaml can be read."""
    if facts.problem:
        return lack(facts.problem, f"correct {PARAMS}") if PARAMS.exists() else Finding("--", facts.problem)
    chosen, sources = at(facts.params, "shared.set", "?"), ", ".join(facts.sources)
    return Finding("ok", f"the set {chosen}, queries {sources or 'from nowhere'}")


def check_dvc(facts: Facts) -> Finding:
    """Say whether artifacts are kept, and where they can be shared."""
    from dvc.config import Config, ConfigError  # type: ignore[import-untyped]
    from dvc.exceptions import NotDvcRepoError  # type: ignore[import-untyped]
    from dvc.repo import Repo  # type: ignore[import-untyped]

    try:
        config = Config(Repo.find_dvc_dir())
    except NotDvcRepoError:
        return lack("no project of DVC", "git init && dvc init", wanted=bool(facts.params))
    except (ConfigError, OSError) as error:
        return lack(str(error), "correct .dvc/config")
    remotes, default = config["remote"], config["core"].get("remote")
    if not remotes:
        return Finding("ok", "a project without a remote, so artifacts are not shared (docs/remote.md)")
    told = f"default {default} ({shown(str(remotes[default]['url']))})" if default in remotes else "no default"
    return Finding("ok", f"{len(remotes)} remote{'s' * (len(remotes) > 1)}, {told}")


def check_encoder(facts: Facts) -> Finding:
    """Say whether the base encoder is here or can be had."""
    kind, model, folder, revision = (
        at(facts.params, f"base.encoder.{name}") for name in ("kind", "model", "folder", "revision")
    )
    if kind == "static":
        return Finding("ok", "static: made from the passages, nothing to fetch")
    if kind not in ("hub", "path"):
        return lack("base.encoder names none", "docs/encoders.md", wanted=bool(facts.params))
    weights = in_folder(Path(folder)) if kind == "path" else on_hub(model, revision)
    if isinstance(weights, Finding):
        return weights
    return Finding("ok", f"{folder or model}: {gib(weights.size)} {weights.where}")


def check_prompts(facts: Facts) -> Finding:
    """Say whether an LLM can be asked in each of the languages."""
    languages = [str(language) for language in at(facts.params, "shared.languages", [])]
    lacking = [language for language in languages if not _has_prompt(language)]
    if lacking:
        files = ", ".join(f"{language}.yaml" for language in lacking)
        way_out = f"write nestling/queries/prompts/{files} after en.yaml"
        return lack(f"none, or a wrong one, for {', '.join(lacking)}", way_out, wanted="llm" in facts.sources)
    return Finding("ok" if languages else "--", f"for {', '.join(languages) or 'no language (shared.languages)'}")


def _has_prompt(language: str) -> bool:
    try:
        return bool(load_template(language))
    except (UserError, OSError):
        return False
