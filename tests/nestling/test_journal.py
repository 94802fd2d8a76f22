"""The response cache under torn lines, kills, other processes and full disks; and the artifact that DVC versions."""

import json
import multiprocessing
import random
import resource
import signal
import time
import tracemalloc
from contextlib import suppress
from hashlib import sha256

import pytest

from nestling.errors import UserError
from nestling.llm.backend import ChatAnswer
from nestling.llm.journal import Entry, Journal, take_in, write_artifact

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["nestling.llm.journal", __name__])
HARD = 'riga\nriga\r\n"virgolette" \\ {} } \u2028\u0085 \0 🦉 è'


def key(number):
    return sha256(str(number).encode()).hexdigest()


def entry(text="Quando apre?", finish="stop"):
    return Entry(text, finish, 7, 3)


def filled(path, **texts):
    with Journal(path) as journal:
        journal.add((key(name), entry(text)) for name, text in texts.items())
    return path


def told(path, *names):
    """Return what a journal that is opened anew says under some names."""
    with Journal(path) as journal:
        return [found.text if (found := journal.get(key(name))) else None for name in names]


def test_an_answer_comes_back_as_it_was_given_save_what_no_file_can_hold(tmp_path):
    given = ChatAnswer("x", f"{HARD} \ud800\udfff", "length", 7, 3, cached_tokens=5)
    with Journal(tmp_path / "deep/journal") as journal:
        journal.add([(key(1), Entry.of(given))])
        assert journal.get(key(1)).outcome("y", 5) == ChatAnswer("y", f"{HARD} ??", "length", 7, 3, 5)
    assert told(tmp_path / "deep/journal", 1, 2) == [f"{HARD} ??", None]


def test_what_is_kept_stands_when_its_key_comes_again(tmp_path):
    path = filled(filled(tmp_path / "journal", a="uno"), a="due", b="tre")
    assert told(path, "a", "b") == ["uno", "tre"]
    assert path.read_bytes().count(b"\n") == 2


def test_a_line_that_was_cut_anywhere_costs_itself_and_nothing_else(tmp_path):
    whole = filled(tmp_path / "whole", a="uno", b=HARD).read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole) - 1):
        path = tmp_path / "cut"
        path.write_bytes(whole[:cut])
        assert told(path, "a", "b") == ["uno", None], cut
        assert told(filled(path, b="due", c="tre"), "a", "b", "c") == ["uno", "due", "tre"], cut


def test_a_line_that_another_process_cut_while_this_one_runs_costs_itself_alone(tmp_path):
    with Journal(filled(tmp_path / "journal", a="uno")) as journal:
        with (tmp_path / "journal").open("ab") as other:
            other.write(entry("due").line(key("b"))[:100])
        journal.add([(key("b"), entry("tre"))])
        assert (journal.get(key("a")), journal.get(key("b")), journal.torn) == (entry("uno"), entry("tre"), 1)
    assert told(tmp_path / "journal", "a", "b") == ["uno", "tre"]


def test_a_line_that_lacks_but_its_newline_counts(tmp_path):
    path = filled(tmp_path / "journal", a="uno")
    path.write_bytes(path.read_bytes()[:-1])
    with Journal(path) as journal:
        assert (len(journal), journal.torn, journal.get(key("a"))) == (1, 0, entry("uno"))


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"{}",
        b"\0" * 5000,
        b"\xff\xfe",
        b'{"key":"ab"}',
        b"[" * 100_000,
        entry().line(key("c"))[:99],
        b'{"text":"x","key":"y"}',
    ],
)
def test_garbage_between_lines_is_counted_and_passed_over(tmp_path, garbage):
    path = filled(tmp_path / "journal", a="uno")
    path.write_bytes(path.read_bytes() + garbage + b"\n" + filled(tmp_path / "other", b="due").read_bytes())
    assert told(path, "a", "b") == ["uno", "due"]
    with Journal(path) as journal:
        assert (len(journal), journal.torn) == (2, 1)


BAD = [
    (b'"text":"uno"', b'"text":"u'),
    (b'"text":"uno"', b'"text":1'),
    (b'"text":"uno"', b'"text":"\\ud800"'),
    (b'"text":"uno"', b'"text":"\xff"'),
    (b'"text":"uno"', b'"text":' + b"[" * 100_000 + b"]" * 100_000),
    (b'"stop"', b'"halt"'),
    (b":7", b':"7"'),
    (b',"finish":"stop"', b""),
]


@pytest.mark.parametrize(("good", "bad"), BAD)
def test_a_line_that_holds_no_answer_gives_way_to_the_next_one(tmp_path, good, bad):
    path = filled(tmp_path / "journal", a="uno", b="due")
    path.write_bytes(path.read_bytes().replace(good, bad, 1))
    with Journal(path) as journal:
        assert (journal.get(key("a")), journal.get(key("b"))) == (None, entry("due"))
        assert (key("a") in journal, len(journal)) == (False, 1)
        journal.add([(key("a"), entry("tre"))])
        assert journal.get(key("a")) == entry("tre")
    assert told(path, "a", "b") == ["tre", "due"]


def test_a_bad_line_that_nobody_asked_for_gives_way_too(tmp_path):
    path = filled(tmp_path / "journal", a="uno")
    path.write_bytes(path.read_bytes().replace(b'"stop"', b'"halt"'))
    assert told(filled(path, a="due"), "a") == ["due"]


def test_what_another_process_wrote_is_seen_after_a_refresh(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        filled(tmp_path / "journal", a="uno")
        assert key("a") not in journal
        journal.refresh()
        assert journal.get(key("a")) == entry("uno")


def test_memory_holds_no_texts(tmp_path):
    path = filled(tmp_path / "journal", **{str(number): "x" * 10_000 for number in range(2000)})
    tracemalloc.start()
    with Journal(path) as journal:
        found = [journal.get(key(number)).finish for number in range(2000)]
        held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 2000
    assert held < 1_000_000


def add_range(path, start, at_once):
    with Journal(path) as journal:
        at_once.wait(30)
        for number in range(start, start + 2000):
            journal.add([(key(number), entry(f"{number} of {start} " + "x" * random.Random(number).randrange(9000)))])


def test_two_processes_that_write_at_once_tear_no_line_and_keep_every_key_once(tmp_path):
    at_once = PROCESSES.Barrier(2)
    writers = [
        PROCESSES.Process(target=add_range, args=(tmp_path / "journal", start, at_once), daemon=True)
        for start in (0, 1000)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    keys = [json.loads(line)["key"] for line in (tmp_path / "journal").read_bytes().splitlines()]
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert sorted(keys) == sorted(key(number) for number in range(3000))


def add_for_ever(path, name, reports):
    chance = random.Random(name)
    with Journal(path) as journal:
        for step in range(100_000):
            names = [f"{name} {step} {number}" for number in range(chance.randrange(1, 9))]
            journal.add((key(name), entry(name + "x" * chance.randrange(90_000))) for name in names)
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


def test_twenty_kills_cost_no_answer_that_was_added(tmp_path):
    chance = random.Random(0)
    reported = [name for kill in range(20) for name in killed(tmp_path / "journal", kill, chance.uniform(0, 0.05))]
    with Journal(tmp_path / "journal") as journal:
        lost = [name for name in reported if not journal.get(key(name)).text.startswith(name)]
    assert len(reported) > 100
    assert lost == []


def add_with_little_room(path, room, reports):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    with Journal(path) as journal:
        try:
            for number in range(100):
                journal.add([(key(number), entry("x" * 1000))])
        except OSError:
            reports.send(number)


def test_a_full_disk_is_an_error_and_what_was_there_stays(tmp_path):
    theirs, reports = PROCESSES.Pipe(duplex=False)
    writer = PROCESSES.Process(target=add_with_little_room, args=(tmp_path / "journal", 20_000, reports), daemon=True)
    writer.start()
    failed = theirs.recv()
    writer.join()
    assert failed > 10
    assert (tmp_path / "journal").stat().st_size == 20_000  # in the midst of a line
    assert told(tmp_path / "journal", *range(failed)) == ["x" * 1000] * failed
    assert told(filled(tmp_path / "journal", **{str(failed): "y"}), failed - 1, failed) == ["x" * 1000, "y"]


def write(journal_path, artifact, *names):
    with Journal(journal_path) as journal:
        write_artifact(journal, [key(name) for name in names], artifact)
    return artifact.read_bytes()


def test_an_artifact_holds_what_is_used_sorted_however_the_journal_grew(tmp_path):
    one = write(filled(tmp_path / "one", **dict.fromkeys("abcdefgh", HARD)), tmp_path / "out/1", *"fabcdeb")
    other = write(
        filled(filled(tmp_path / "other", d=HARD), **dict.fromkeys("fecba", HARD)), tmp_path / "out/2", *"abcdef"
    )
    keys = [json.loads(line)["key"] for line in one.splitlines()]
    assert one == other
    assert keys == sorted(key(name) for name in "abcdef")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1", "2"]


def test_an_artifact_that_cannot_be_written_whole_is_not_written(tmp_path):
    before = write(filled(tmp_path / "journal", a="uno"), tmp_path / "out/artifact", "a")
    with Journal(tmp_path / "journal") as journal:
        pass
    with pytest.raises(ValueError, match="closed file"):
        write_artifact(journal, [key("a")], tmp_path / "out/artifact")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "out").iterdir()] == [("artifact", before)]


def test_what_the_journal_lacks_is_taken_in_once_and_what_it_has_beside_stays(tmp_path):
    theirs = write(filled(tmp_path / "theirs", a="other", b=HARD), tmp_path / "artifact", "a", "b")
    (tmp_path / "artifact").write_bytes(theirs.replace(b'"other"', b"cut"))  # is passed over: the journal has it
    with Journal(filled(tmp_path / "mine", a="uno", c="tre")) as journal:
        take_in(tmp_path / "artifact", journal)
        take_in(tmp_path / "artifact", journal)
        assert len(journal) == 3
    assert told(tmp_path / "mine", "a", "b", "c") == ["uno", HARD, "tre"]
    assert (tmp_path / "mine").read_bytes().count(b"\n") == 3


def test_what_is_versioned_stands_where_the_journal_says_otherwise(tmp_path):
    write(filled(tmp_path / "theirs", a="versioned"), tmp_path / "artifact", "a")
    with Journal(filled(tmp_path / "mine", a="mine")) as journal:
        take_in(tmp_path / "artifact", journal)
        assert journal.get(key("a")) == entry("versioned")
    assert told(tmp_path / "mine", "a") == ["versioned"]


def test_an_artifact_mends_a_bad_line_of_the_journal(tmp_path):
    write(filled(tmp_path / "journal", a="uno"), tmp_path / "artifact", "a")
    (tmp_path / "journal").write_bytes((tmp_path / "journal").read_bytes().replace(b'"stop"', b'"halt"'))
    with Journal(tmp_path / "journal") as journal:
        take_in(tmp_path / "artifact", journal)
        assert journal.get(key("a")) == entry("uno")


def test_no_artifact_is_nothing_to_take_in(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        take_in(tmp_path / "none", journal)
        assert len(journal) == 0


@pytest.mark.parametrize("bad", [b"\n", b"<<<<<<< HEAD\n", b'{"key":"\xff\n', *(bad for _, bad in BAD)])
def test_a_line_of_an_artifact_that_is_no_answer_is_one_sentence(tmp_path, bad):
    good = write(filled(tmp_path / "theirs", a="uno"), tmp_path / "artifact", "a")
    line = next((good.replace(was, bad) for was, now in BAD if now == bad), bad)
    (tmp_path / "artifact").write_bytes(write(filled(tmp_path / "more", b="due"), tmp_path / "x", "b") + line)
    with Journal(tmp_path / "mine") as journal, pytest.raises(UserError) as raised:
        take_in(tmp_path / "artifact", journal)
    assert "artifact holds a line that is not an answer (line 2): bring the file back with `dvc" in str(raised.value)
    assert "\n" not in str(raised.value)


def claiming(path, pipe):
    """Take one request in hand, say so, and hold on to it."""
    with Journal(path) as journal:
        pipe.send(journal.claim(key("a")))
        pipe.recv()
        journal.let_go(key("a"))
        pipe.send("let go")
        pipe.recv()


def test_a_request_is_in_the_hand_of_one_process_until_it_lets_go_or_dies(tmp_path):
    ours, theirs = PROCESSES.Pipe()
    other = PROCESSES.Process(target=claiming, args=(tmp_path / "journal", theirs))
    other.start()
    with Journal(tmp_path / "journal") as journal:
        assert ours.recv()
        assert not journal.claim(key("a"))
        assert journal.claim(key("b"))
        ours.send("let go")
        assert ours.recv() == "let go"
        assert journal.claim(key("a"))
        journal.let_go()
    other.kill()
    other.join()


def test_what_a_killed_process_had_in_hand_is_free(tmp_path):
    ours, theirs = PROCESSES.Pipe()
    other = PROCESSES.Process(target=claiming, args=(tmp_path / "journal", theirs))
    other.start()
    assert ours.recv()
    other.kill()
    other.join()
    with Journal(tmp_path / "journal") as journal:
        assert journal.claim(key("a"))
