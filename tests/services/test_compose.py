"""The Argilla for a team, as far as it can be told without Docker: versions, secrets, ports and health."""

import re

import pytest
import yaml

from tests.argilla import REPOSITORY

FILE = REPOSITORY / "services/argilla/compose.yaml"
TEXT = "\n".join(line.split(" #")[0] for line in FILE.read_text(encoding="utf-8").splitlines() if line[:1] != "#")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
PINNED = (REPOSITORY / "requirements/argilla-server.txt").read_text(encoding="utf-8").splitlines()


def test_both_ways_run_the_same_argilla():
    version = next(line.removeprefix("argilla-server==") for line in PINNED if line.startswith("argilla-server=="))
    assert {SERVICES[name]["image"] for name in ("server", "worker")} == {f"argilla/argilla-server:v{version}"}


def test_the_server_is_pinned_to_the_last_package():
    packages = [line for line in PINNED if not line.startswith("#")]
    assert len(packages) > 80
    assert [line for line in packages if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_version_and_every_service_says_when_it_is_well(name):
    assert re.search(r":v?\d+\.\d+(\.\d+)?$", SERVICES[name]["image"])
    assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_nothing_is_published_but_the_page_and_that_to_this_machine():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"server": ["${ARGILLA_BIND:-127.0.0.1}:${ARGILLA_PORT:-6900}:6900"]}
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert {name for name, service in SERVICES.items() if service["networks"] != ["inside"]} == {"server"}


def test_every_secret_must_be_given():
    usual = re.findall(r"\$\{(\w+):-", TEXT)
    secret = re.findall(r"\$\{(\w+):\?\}", TEXT)
    assert set(usual) == {"ARGILLA_BIND", "ARGILLA_PORT", "ARGILLA_WORKSPACE", "ARGILLA_REINDEX"}
    assert len(set(secret)) == 5
    assert TEXT.count("${") == len(usual) + len(secret)
    settings = [setting for service in SERVICES.values() for setting in service.get("environment", {}).items()]
    named = [value for name, value in settings if re.search("PASSWORD|SECRET|API_KEY|AUTH", name)]
    assert len(named) == 6  # the server's and the worker's signing key, the owner's two, PostgreSQL's, Redis's
    assert [value for value in named if not re.fullmatch(r"\$\{\w+:\?\}", value)] == []


def test_every_variable_is_documented():
    told = (REPOSITORY / "docs/argilla.md").read_text(encoding="utf-8")
    local = (REPOSITORY / "services/argilla/settings.py").read_text(encoding="utf-8")
    names = {*re.findall(r"\$\{(\w+)", TEXT), *re.findall(r'"(ARGILLA_\w+)"', local)}
    assert len(names) == 14
    assert [name for name in sorted(names) if f"`{name}`" not in told] == []


def test_the_server_tells_nobody_what_it_does():
    for name in ("server", "worker"):
        assert SERVICES[name]["environment"]["HF_HUB_DISABLE_TELEMETRY"] == "1"
        assert SERVICES[name]["environment"]["HF_HUB_OFFLINE"] == "1"


def test_what_must_be_kept_lies_in_volumes():
    kept = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert kept == set(COMPOSE["volumes"])
