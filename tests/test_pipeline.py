"""The contracts of the house: dvc.yaml says what the code does, params.yaml what it is told, imports obey the laws."""

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from nestling.desk.pushing import PushParams
from nestling.params import SHARED, StageParams, Strict, at, read_params
from tests.project import REPOSITORY, Project, take

PLUMBING = {  # cannot change what a table holds
    "nestling/cli.py",
    "nestling/errors.py",
    "nestling/params.py",
    "nestling/plausible.py",
    "nestling/tables/io.py",
}
OPTIONAL = {"vllm": "nestling/llm/", "ray": "nestling/llm/"}  # library -> where it may be
ONLY_WITH_AN_LLM = {"nestling/queries/prompts"}  # the tiny project's queries are recorded and cut out
KEPT = (".cache/", "data/response_cache/")  # beside the outputs, and never read in place of a dependency: caches
SOURCES = ("data/raw/", "nestling/queries/prompts", "data/annotations", "models/promoted")  # what no stage makes
PIPELINE = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = PIPELINE["stages"]
FILES = sorted(path for tree in ("nestling", "stages") for path in (REPOSITORY / tree).rglob("*.py"))
RECIPES = [REPOSITORY / "params.yaml", *sorted((REPOSITORY / "recipes").glob("*.yaml"))]


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def names_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return ["." * node.level + (node.module or "")] if isinstance(node, ast.ImportFrom) else []


def imports(path: Path, nodes: Any = ast.walk) -> set[str]:
    return {name for node in nodes(ast.parse(path.read_text(encoding="utf-8"))) for name in names_of(node)}


def sources(module: str, seen: set[str]) -> set[str]:
    """Add the files of a module and of all that it imports of ours."""
    path = REPOSITORY / f"{module.replace('.', '/')}.py"
    if path.exists() and relative(path) not in seen:
        seen.add(relative(path))
        for name in imports(path):
            sources(name, seen)
    return seen


def params_class(name: str) -> type[StageParams]:
    module = importlib.import_module(f"stages.{name}")
    found = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, StageParams)]
    return next(one for one in found if one.__module__ == module.__name__)


# --- dvc.yaml and the code


def test_every_stage_is_a_file_and_every_file_a_stage():
    files = {path.stem for path in (REPOSITORY / "stages").glob("*.py")} - {"__init__"}
    assert files == set(STAGES)
    assert {name: stage["cmd"] for name, stage in STAGES.items()} == {
        name: f"python -m stages.{name}" for name in files
    }


@pytest.mark.parametrize("name", STAGES)
def test_code_deps_are_exactly_the_imports(name):
    declared = [dep for dep in STAGES[name]["deps"] if dep.endswith(".py")]
    assert sorted(declared) == sorted(sources(f"stages.{name}", set()) - PLUMBING)


@pytest.mark.parametrize("name", STAGES)
def test_declared_parameters_are_exactly_those_of_the_class(name):
    quoted = getattr(importlib.import_module(f"stages.{name}"), "RECIPE", ())
    shared = [f"shared.{key}" for key in params_class(name).shared]
    assert sorted(STAGES[name]["params"]) == sorted([*shared, name, *quoted])


def test_what_one_stage_reads_another_writes_or_people_bring():
    made = tuple(
        next(iter(out)) if isinstance(out, dict) else out for stage in STAGES.values() for out in stage["outs"]
    )
    made += ("reports/metrics.json", "${shared.current}")
    read = {dep for stage in STAGES.values() for dep in stage["deps"] if not dep.endswith(".py")}
    assert [dep for dep in read if not dep.startswith((*made, *SOURCES))] == []


def test_reports_lie_in_git_and_all_else_in_the_cache_of_dvc():
    outs = [out for stage in STAGES.values() for kind in ("outs", "metrics") for out in stage.get(kind, [])]
    in_git = {name for out in outs if isinstance(out, dict) for name, how in out.items() if how == {"cache": False}}
    assert in_git == {
        name for out in outs for name in [next(iter(out)) if isinstance(out, dict) else out] if "reports/" in name
    }


def test_the_ledger_of_splits_lies_in_git_a_file_a_set_and_dvc_removes_it_before_no_run():
    ledger = "data/splits/${shared.set}.jsonl"
    assert {ledger: {"cache": False, "persist": True}} in STAGES["prepare"]["outs"]
    path = REPOSITORY / "data/splits/mine.jsonl"
    assert subprocess.run(["git", "check-ignore", "-q", path], cwd=REPOSITORY, check=False).returncode == 1


def test_every_plot_is_drawn_from_what_a_stage_writes(built):
    drawn = {source for plot in PIPELINE["plots"] for one in plot.values() for source in one["y"]}
    assert drawn
    assert drawn <= set(built.digests(built.outs()))


# --- a stage alone with what dvc.yaml declares: run, not read


@dataclass(frozen=True)
class Alone:
    name: str
    project: Project
    unread: list[str]  # declared data that the stage did not open
    written: set[str]  # files that appeared or changed


def isolate(built: Project, name: str, folder: Path) -> Project:
    """Copy what a stage declares and nothing else: code (with the plumbing), data and parameters."""
    stage = built.declared()[name]
    for path in [*stage["deps"], *PLUMBING, "dvc.yaml", "nestling/__init__.py", "stages/__init__.py"]:
        if not (folder / path).exists():
            take(built.root / path, folder / path)
    for package in (built.root / "nestling").glob("*/__init__.py"):
        take(package, folder / package.relative_to(built.root))
    tree = built.params()
    kept = {section: tree[section] for section in stage["params"] if section in tree}
    shared = {key: value for key, value in tree["shared"].items() if f"shared.{key}" in stage["params"]}
    (folder / "params.yaml").write_text(yaml.safe_dump({"shared": shared, **kept}, sort_keys=False), encoding="utf-8")
    return Project(folder)


def unopened(paths: list[Path]) -> Iterator[Path]:
    """Set back the time of access, and yield the paths where it still stands after the caller's work."""
    for path in paths:
        os.utime(path, ns=(0, path.stat().st_mtime_ns))
    yield Path()
    yield from (path for path in paths if path.stat().st_atime_ns == 0)


@pytest.fixture(scope="module", params=STAGES)
def alone(request, built, tmp_path_factory) -> Alone:
    project = isolate(built, request.param, tmp_path_factory.mktemp(request.param))
    data = [project.root / dep for dep in built.declared()[request.param]["deps"] if not dep.endswith(".py")]
    watched = unopened([path for dep in data for path in (dep, *dep.rglob("*"))])
    before = project.digests(["."])
    next(watched)  # after the digests, which open every file
    project.stage(request.param)
    untouched = set(watched)
    after = project.digests(["."])
    unread = [str(dep) for dep in data if {dep, *dep.rglob("*")} <= untouched]
    return Alone(
        request.param, project, unread, {path for path, digest in after.items() if before.get(path) != digest}
    )


@pytest.mark.slow
def test_a_stage_needs_nothing_that_it_does_not_declare_and_writes_the_same_bytes(alone, built):
    outs = built.outs(alone.name)
    assert alone.project.digests(outs) == built.digests(outs)


@pytest.mark.slow
def test_a_stage_writes_its_outputs_and_nothing_else(alone, built):
    ours = {path for path in alone.written if not path.startswith(KEPT) and "__pycache__" not in path}
    assert ours == set(built.digests(built.outs(alone.name)))


@pytest.mark.slow
def test_a_stage_opens_everything_that_it_declares(alone, tmp_path):
    (tmp_path / "probe").write_text("x")
    watched = unopened([tmp_path / "probe"])
    next(watched)
    (tmp_path / "probe").read_text()
    if list(watched):
        pytest.skip("this file system keeps no time of access")
    assert {path for path in alone.unread if not path.endswith(tuple(ONLY_WITH_AN_LLM))} == set()


# --- params.yaml and the classes


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_section_has_its_class_and_loads(path):
    assert set(read_params(path)) == {"shared", "review", *STAGES}
    for name in STAGES:
        assert params_class(name).section == name
        params_class(name).load(path)
    assert PushParams.section == "review"  # which no stage reads
    PushParams.load(path)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("part", ["prepare", "generate.llm", "review", "curate", "evaluate"])
def test_recipes_agree_in_what_no_encoder_decides(path, part):
    assert at(read_params(path), part, {}) == at(read_params(REPOSITORY / "params.yaml"), part, {}) != {}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shared_parameters_are_those_that_stages_share(path):
    used = {key for name in STAGES for key in params_class(name).shared}
    assert set(SHARED) == used == set(read_params(path)["shared"])


@pytest.mark.parametrize("base", [Strict, StageParams])
def test_a_default_in_code_is_refused(base):
    section = {"section": "mine"} if base is StageParams else {}
    with pytest.raises(TypeError, match=r"defaults of \['depth'\] belong in params.yaml"):
        type("Params", (base,), {"__annotations__": {"depth": int}, "depth": 30}, **section)


def test_every_model_of_parameters_is_strict():
    loose = [relative(path) for path in FILES if "(BaseModel)" in path.read_text(encoding="utf-8")]
    assert loose == ["nestling/corpus/settings.py", "nestling/params.py"]  # the former reads set.yaml of a set


# --- imports


@pytest.mark.parametrize("path", [path for path in FILES if "commands" not in path.parts], ids=relative)
def test_our_own_code_is_imported_as_from_nestling_module_import_name(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ours = {name for name in imports(path) if name.split(".")[0] in ("nestling", "stages", "")}
    assert [name for name in ours if not (REPOSITORY / f"{name.replace('.', '/')}.py").is_file()] == []
    bare = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not ours & bare
    assert not {"importlib", "runpy"} & imports(path)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_nobody_imports_a_stage(path):
    assert [name for name in imports(path) if name.split(".")[0] == "stages"] == []


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_optional_libraries_are_imported_late_and_where_they_belong(path):
    known = {name.split(".")[0] for name in imports(path)} & set(OPTIONAL)
    early = {name.split(".")[0] for name in imports(path, ast.iter_child_nodes)}
    assert [name for name in known if name in early or not relative(path).startswith(OPTIONAL[name])] == []


def test_the_command_line_starts_without_torch():
    code = "import sys, nestling.commands.main; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
