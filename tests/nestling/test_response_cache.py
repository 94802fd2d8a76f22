"""The response cache under kills, other processes, full disks and damage; and the artifact that DVC versions."""

import json
import multiprocessing
import random
import resource
import signal
import sqlite3
import time
import tracemalloc
from contextlib import closing, suppress
from hashlib import sha256

import pytest

from nestling.errors import UserError
from nestling.llm.backend import ChatAnswer, ChatRefusal
from nestling.llm.response_cache import Response, ResponseCache

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["nestling.llm.response_cache", __name__])
HARD = 'riga\nriga\r\n"virgolette" \\ {} } \u2028\u0085 \0 🦉 è'


def key(number):
    return sha256(str(number).encode()).hexdigest()


def response(name, text="Quando apre?"):
    return Response(key(name), text, "stop", 7, 3)


def filled(path, **texts):
    with ResponseCache(path) as cache:
        cache.add(response(name, text) for name, text in texts.items())
    return path


def told(path, *names):
    """Return what a cache that is opened anew says under some names."""
    with ResponseCache(path) as cache:
        return [found.text if (found := cache.get(key(name))) else None for name in names]


def keys(path):
    with closing(sqlite3.connect(path)) as database:
        return [found for (found,) in database.execute("SELECT key FROM responses")]


def test_an_answer_comes_back_as_it_was_given_save_what_no_file_can_hold(tmp_path):
    given = ChatAnswer("x", f"{HARD} \ud800\udfff", "length", 7, 3, cached_tokens=5)
    with ResponseCache(tmp_path / "deep/cache") as cache:
        cache.add([Response.of(given, key(1))])
        assert cache.get(key(1)).outcome("y", 5) == ChatAnswer("y", f"{HARD} ??", "length", 7, 3, 5)
    assert told(tmp_path / "deep/cache", 1, 2) == [f"{HARD} ??", None]


def test_a_refusal_comes_back_as_it_was_given(tmp_path):
    with ResponseCache(tmp_path / "cache") as cache:
        cache.add([Response.of(ChatRefusal("x", "special_token", "a text holds: <s>"), key(1))])
        assert cache.get(key(1)).outcome("y") == ChatRefusal("y", "special_token", "a text holds: <s>")


def test_what_is_kept_stands_when_its_key_comes_again(tmp_path):
    path = filled(filled(tmp_path / "cache", a="uno"), a="due", b="tre")
    assert told(path, "a", "b") == ["uno", "tre"]
    assert sorted(keys(path)) == sorted([key("a"), key("b")])


def test_what_another_process_wrote_is_seen_at_once(tmp_path):
    with ResponseCache(tmp_path / "cache") as cache:
        assert cache.get(key("a")) is None
        filled(tmp_path / "cache", a="uno")
        assert cache.get(key("a")) == response("a", "uno")


def test_memory_holds_no_texts(tmp_path):
    path = filled(tmp_path / "cache", **{str(number): "x" * 10_000 for number in range(2000)})
    tracemalloc.start()
    with ResponseCache(path) as cache:
        found = [cache.get(key(number)).finish for number in range(2000)]
        held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 2000
    assert held < 1_000_000


def add_range(path, start, at_once):
    with ResponseCache(path) as cache:
        at_once.wait(30)
        for number in range(start, start + 2000):
            text = f"{number} of {start} " + "x" * random.Random(number).randrange(9000)
            cache.add([response(number, text)])


def test_two_processes_that_write_at_once_keep_every_key_once(tmp_path):
    at_once = PROCESSES.Barrier(2)
    writers = [
        PROCESSES.Process(target=add_range, args=(tmp_path / "cache", start, at_once), daemon=True)
        for start in (0, 1000)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert sorted(keys(tmp_path / "cache")) == sorted(key(number) for number in range(3000))


def add_for_ever(path, name, reports):
    chance = random.Random(name)
    with ResponseCache(path) as cache:
        for step in range(100_000):
            names = [f"{name} {step} {number}" for number in range(chance.randrange(1, 9))]
            cache.add(response(name, name + "x" * chance.randrange(90_000)) for name in names)
            reports.send(names)


def killed(path, name, seconds):
    """Return what a writer reported before it was killed."""
    theirs, reports = PROCESSES.Pipe(duplex=False)
    writer = PROCESSES.Process(target=add_for_ever, args=(path, name, reports), daemon=True)
    writer.start()
    reports.close()
    names = theirs.recv()  # it is at work
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if theirs.poll(left):
            names += theirs.recv()
    writer.kill()
    with suppress(EOFError):
        while True:
            names += theirs.recv()
    writer.join()
    theirs.close()
    assert writer.exitcode == -signal.SIGKILL
    return names


def test_twenty_kills_cost_no_response_that_was_added(tmp_path):
    chance = random.Random(0)
    reported = [name for kill in range(20) for name in killed(tmp_path / "cache", kill, chance.uniform(0, 0.05))]
    with ResponseCache(tmp_path / "cache") as cache:
        lost = [name for name in reported if not cache.get(key(name)).text.startswith(name)]
    assert len(reported) > 100
    assert lost == []


def add_with_little_room(path, room, reports):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    with ResponseCache(path) as cache:
        try:
            for number in range(1000):
                cache.add([response(number, "x" * 1000)])
        except UserError as error:
            reports.send((number, str(error)))


def test_a_full_disk_is_one_sentence_and_what_was_there_stays(tmp_path):
    theirs, reports = PROCESSES.Pipe(duplex=False)
    writer = PROCESSES.Process(target=add_with_little_room, args=(tmp_path / "cache", 300_000, reports), daemon=True)
    writer.start()
    failed, sentence = theirs.recv()
    writer.join()
    assert failed > 10
    assert f"{tmp_path / 'cache'}: the response cache cannot be used (" in sentence
    assert "\n" not in sentence
    assert told(tmp_path / "cache", *range(failed)) == ["x" * 1000] * failed
    assert told(filled(tmp_path / "cache", **{str(failed): "y"}), failed - 1, failed) == ["x" * 1000, "y"]


def damage_the_header(path):
    path.write_bytes(b"<<<<<<< HEAD\n" + path.read_bytes()[13:])


def damage_pages(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def cut(path):
    path.write_bytes(path.read_bytes()[:-4096])


@pytest.mark.parametrize("spoil", [damage_the_header, damage_pages, cut])
def test_a_damaged_database_is_one_sentence_with_the_way_out(tmp_path, spoil):
    path = filled(tmp_path / "folder/cache", **{str(number): "x" * 3000 for number in range(50)})
    spoil(path)
    with pytest.raises(UserError) as raised:
        told(path, *range(50))
    assert f"{path}: the response cache is damaged (" in str(raised.value)
    assert f"remove {path.parent}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path):
    (tmp_path / "cache").mkdir()
    with pytest.raises(UserError, match="the response cache cannot be used") as raised:
        ResponseCache(tmp_path / "cache")
    assert "\n" not in str(raised.value)


def save(path, artifact, *names):
    with ResponseCache(path) as cache:
        cache.save([key(name) for name in names], artifact)
    return artifact.read_bytes()


def test_an_artifact_holds_what_is_used_sorted_however_the_cache_grew(tmp_path):
    one = save(filled(tmp_path / "one", **dict.fromkeys("abcdefgh", HARD)), tmp_path / "out/1", *"abcdeb", "f")
    grown = filled(filled(tmp_path / "other", d=HARD), **dict.fromkeys("fecba", HARD))
    other = save(grown, tmp_path / "out/2", *"abcdef")
    assert one == other
    assert [json.loads(line)["key"] for line in one.splitlines()] == sorted(key(name) for name in "abcdef")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1", "2"]


def test_a_line_of_an_artifact_is_the_response_as_compact_json_its_key_first(tmp_path):
    line = save(filled(tmp_path / "cache", a="È \0 “così”"), tmp_path / "artifact", "a")
    text = '"text":"È \\u0000 “così”","finish":"stop","prompt_tokens":7,"completion_tokens":3}\n'
    assert line == f'{{"key":"{key("a")}",{text}'.encode()


def test_an_artifact_that_cannot_be_written_whole_is_not_written(tmp_path):
    before = save(filled(tmp_path / "cache", a="uno"), tmp_path / "out/artifact", "a")
    with ResponseCache(tmp_path / "cache") as cache:
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        cache.save([key("a")], tmp_path / "out/artifact")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "out").iterdir()] == [("artifact", before)]


def test_what_the_cache_lacks_is_taken_in_once_and_what_it_has_beside_stays(tmp_path):
    save(filled(tmp_path / "theirs", a="uno", b=HARD), tmp_path / "artifact", "a", "b")
    with ResponseCache(filled(tmp_path / "mine", a="uno", c="tre")) as cache:
        cache.load(tmp_path / "artifact")
        cache.load(tmp_path / "artifact")
    assert told(tmp_path / "mine", "a", "b", "c") == ["uno", HARD, "tre"]
    assert len(keys(tmp_path / "mine")) == 3


def test_what_is_versioned_stands_where_the_cache_says_otherwise(tmp_path):
    save(filled(tmp_path / "theirs", a="versioned"), tmp_path / "artifact", "a")
    with ResponseCache(filled(tmp_path / "mine", a="mine")) as cache:
        cache.load(tmp_path / "artifact")
        assert cache.get(key("a")) == response("a", "versioned")
    assert told(tmp_path / "mine", "a") == ["versioned"]


def test_no_artifact_is_nothing_to_take_in(tmp_path):
    with ResponseCache(tmp_path / "cache") as cache:
        cache.load(tmp_path / "none")
    assert keys(tmp_path / "cache") == []


NOT_A_RESPONSE = [
    b"\n",
    b"<<<<<<< HEAD\n",
    b'{"key":"\xff\n',
    (b'"key":"', b'"key":"z'),
    (b'"text":"uno"', b'"text":"u'),
    (b'"text":"uno"', b'"text":1'),
    (b'"text":"uno"', b'"text":"\\ud800"'),
    (b'"text":"uno"', b'"text":"\xff"'),
    (b'"text":"uno"', b'"text":' + b"[" * 100_000 + b"]" * 100_000),
    (b'"stop"', b'"halt"'),
    (b":7", b':"7"'),
    (b',"finish":"stop"', b""),
]


@pytest.mark.parametrize("bad", NOT_A_RESPONSE)
def test_a_line_of_an_artifact_that_is_no_response_is_one_sentence_and_nothing_is_taken_in(tmp_path, bad):
    good = save(filled(tmp_path / "theirs", a="uno"), tmp_path / "artifact", "a")
    line = good.replace(*bad) if isinstance(bad, tuple) else bad
    (tmp_path / "artifact").write_bytes(save(filled(tmp_path / "more", b="due"), tmp_path / "x", "b") + line)
    with ResponseCache(tmp_path / "mine") as cache, pytest.raises(UserError) as raised:
        cache.load(tmp_path / "artifact")
    assert "artifact holds a line that is not a response (line 2): bring the file back with `dvc" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert keys(tmp_path / "mine") == []
