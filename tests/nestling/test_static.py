import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from nestling.retrieval.embeddings import shrink
from nestling.retrieval.static import Features, StaticBag, build_static

FEATURES = Features({"word": 1.0, "gram4": 0.5}, 1.2)
TEXTS = [
    "Il mulino macina il grano del paese.",
    "La biblioteca presta libri e riviste.",
    "Il rifugio apre in estate per gli escursionisti.",
    "Il grano cresce nei campi del paese.",
    "I libri si restituiscono dopo un mese.",
    "Gli escursionisti salgono al rifugio con la guida.",
]
ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "squad-it"


@pytest.fixture(scope="module")
def bag():
    return build_static(TEXTS, [], FEATURES, 5, 1000, seed=1)


def vectors(bag, texts):
    with torch.no_grad():
        return bag.eval()(bag.preprocess(texts))["sentence_embedding"].numpy()


@pytest.mark.parametrize(
    ("view", "features"),
    [
        ("word", ["word mare"]),
        ("prefix3", ["prefix3 mar"]),
        ("prefix5", []),
        ("gram4", ["gram4 ^mar", "gram4 mare", "gram4 are$"]),
        ("gram9", ["gram9 ^mare$"]),
    ],
)
def test_a_view_cuts_words_its_own_way(view, features):
    assert Features({view: 1.0}, 1.2).of_word("mare") == features


def test_accents_and_case_make_no_other_feature():
    assert FEATURES.counts("Perché CITTÀ") == FEATURES.counts("perche città")


def test_a_repeated_token_saturates():
    counted = FEATURES.saturated(np.array([1, 2, 10, 1_000_000]))
    assert counted == pytest.approx([1, 2 * 2.2 / 3.2, 10 * 2.2 / 11.2, 2.2], rel=1e-5)


def test_ten_times_a_word_is_not_ten_times_its_weight(bag):
    word, other, once, often = vectors(bag, ["mulino", "libri", "mulino libri", f"{'mulino ' * 10} libri"])
    assert once @ word < often @ word
    assert often @ other > vectors(bag, ["libri"])[0] @ (10 * word + other) / np.linalg.norm(10 * word + other)


@settings(max_examples=50)
@given(st.lists(st.sampled_from([*TEXTS, "mulino", "", "grano grano grano", "libri del mulino"]), min_size=1))
def test_a_vector_depends_on_its_text_and_not_on_its_batch(bag, texts):
    alone = np.concatenate([vectors(bag, [text]) for text in texts])
    assert vectors(bag, texts).tobytes() == alone.tobytes()


def test_the_first_dimensions_carry_the_most(bag):
    carried = np.square(vectors(bag, TEXTS)).sum(axis=0)
    assert carried.tolist() == sorted(carried, reverse=True)


def test_fewer_dimensions_are_a_prefix_of_more(bag):
    short = build_static(TEXTS, [], FEATURES, 3, 1000, seed=1)
    assert np.array_equal(short.vectors.numpy(), bag.vectors.numpy()[:, :3])


def test_each_directions_largest_entry_is_positive(bag):
    counts = {feature: sum(feature in FEATURES.counts(text) for text in TEXTS) for feature in bag.vocabulary}
    idf = np.array([np.log1p((6 - count + 0.5) / (count + 0.5)) for count in counts.values()])
    weight = idf * [FEATURES.weight(feature) for feature in bag.vocabulary]
    directions = bag.vectors.numpy() / weight[:, None]
    assert (directions.max(axis=0) >= -directions.min(axis=0)).all()
    assert np.allclose(directions.T @ directions, np.eye(5), atol=1e-5)


def test_folding_the_map_changes_no_vector(bag):
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(3)))[0] * 2
    turned = StaticBag(bag.vocabulary, bag.vectors, FEATURES, bag.rarest, turn)
    assert vectors(turned.folded(), TEXTS) == pytest.approx(vectors(turned, TEXTS), abs=1e-6)
    assert vectors(turned, TEXTS) != pytest.approx(vectors(bag, TEXTS), abs=1e-2)
    assert torch.equal(turned.folded().turn, torch.eye(5))


def test_an_encoder_comes_back_from_its_folder_as_it_was(bag, tmp_path):
    SentenceTransformer(modules=[bag], device="cpu").save_pretrained(str(tmp_path), create_model_card=False)
    back = SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=True)
    assert back.encode(TEXTS).tobytes() == vectors(bag, TEXTS).tobytes()
    assert (back[0].rarest, back[0].views, back[0].saturation) == (bag.rarest, FEATURES.views, 1.2)


def test_the_rarest_feature_is_one_that_a_single_passage_holds(bag):
    assert bag.rarest == pytest.approx(np.log1p(5.5 / 1.5))


def test_sentences_fill_up_what_passages_lack():
    passages = [" ".join(TEXTS[:3]), " ".join(TEXTS[3:])]
    alone, filled = (build_static(passages, parts, FEATURES, 5, 1000, seed=1) for parts in ([], TEXTS))
    assert (alone.get_embedding_dimension(), filled.get_embedding_dimension()) == (2, 5)
    assert np.array_equal(filled.vectors.numpy()[:, :2], alone.vectors.numpy())
    both = vectors(filled, TEXTS)
    assert np.linalg.matrix_rank(both[:, 2:], tol=1e-3) == 3


def test_the_most_frequent_features_are_kept():
    few = build_static(TEXTS, [], Features({"word": 1.0}, 1.2), 3, 4, seed=1)
    assert few.vocabulary == ["word il", "word del", "word escursionisti", "word gli"]


def test_a_text_without_a_known_feature_is_zero(bag):
    assert not vectors(bag, ["xyz", "", "?!"]).any()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float16])
def test_a_text_without_a_known_feature_does_no_harm_in_training(bag, precision):
    bag = StaticBag(bag.vocabulary, bag.vectors, FEATURES, bag.rarest).train()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        unknown, known = bag(bag.preprocess(["xyz", TEXTS[0]]))["sentence_embedding"]
        (1 - unknown @ known).backward()
    assert torch.isfinite(bag.turn.grad).all()  # the slope of a cosine at zero is not: in half precision it overflows
    assert bag.turn.grad.abs().max() < 10


def digests():
    """Hashes of the vectors of a small corpus, whose SVD is exact, and of one so large that it is randomised."""
    texts = [f"parola{n % 97} cosa{n % 89} fatto{n % 83}" for n in range(6001)]
    bags = [build_static(texts[:size], [], FEATURES, 20, 1000, seed=1) for size in (50, 6001)]
    return [hashlib.sha256(bag.vectors.numpy().tobytes()).hexdigest() for bag in bags]


def test_another_process_makes_the_same_bytes():
    command = [sys.executable, "-c", f"from {__name__} import digests; print(*digests())"]
    elsewhere = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert elsewhere.stdout.split() == digests()


@pytest.fixture(scope="module")
def real():
    """Vectors of 1,019 Italian paragraphs and of 4,013 questions, and the place of each question's paragraph."""
    documents, queries = (
        [json.loads(line) for line in (REAL / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("corpus", "queries")
    )
    texts = [f"{row['title']}\n{row['text']}" for row in documents]
    bag = build_static(texts, [], Features({"word": 1.0, "gram4": 0.6}, 1.2), 512, 200_000, seed=20261120)
    place = {row["_id"]: number for number, row in enumerate(documents)}
    qrels = dict(line.split("\t")[:2] for line in (REAL / "qrels" / "test.tsv").read_text().splitlines()[1:])
    asked = [row for row in queries if row["_id"] in qrels]
    return [
        vectors(bag, [row["text"] for row in asked]),
        vectors(bag, texts),
        [place[qrels[row["_id"]]] for row in asked],
    ]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are no part of the repository")
@pytest.mark.parametrize(("dim", "least"), [(512, 0.80), (256, 0.76)])
def test_before_training_it_answers_real_questions(real, dim, least):
    queries, passages, answers = real
    scores = shrink(queries, dim) @ shrink(passages, dim).T
    rank = 1 + (scores > scores[np.arange(len(answers)), answers][:, None]).sum(axis=1)
    ndcg = np.where(rank <= 10, 1 / np.log2(rank + 1), 0)  # one paragraph answers each question
    assert ndcg.mean() >= least
