import json
import re

import pytest
import yaml

from nestling.corpus.language import best_language
from nestling.desk.interface import NONE
from nestling.desk.wording import WORDINGS, Wording
from nestling.errors import UserError
from nestling.tables.review import QUALITIES, QUESTIONS

LANGUAGES = ("ca", "en", "es", "it", "pt")
EVERY_LANGUAGE = pytest.mark.parametrize("language", LANGUAGES)


def texts(tree):
    """Every text of a tree."""
    if isinstance(tree, str):
        return [tree]
    return [text for branch in tree.values() for text in texts(branch)]


def guidelines(language):
    words = Wording.load(language).for_cut_out()
    whole = words.guidelines.model_dump(exclude={"cut_out"})
    return [*whole.values(), words.sheet.retrieval, words.sheet.sts]


def rows(markdown):
    """First cells of the lines of all tables, heads left out."""
    return [line.split("|")[1].strip() for line in markdown.splitlines() if line.startswith("| ")][1:]


def broken(folder, change):
    """What is said of English after a change."""
    tree = yaml.safe_load((WORDINGS / "en.yaml").read_text(encoding="utf-8"))
    change(tree)
    (folder / "en.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        Wording.load("en", folder)
    return str(raised.value).removeprefix(f"{folder}/en.yaml: ")


def test_these_languages_there_are():
    assert tuple(sorted(file.stem for file in WORDINGS.iterdir())) == LANGUAGES


@EVERY_LANGUAGE
def test_every_question_and_quality_has_words(language):
    asked = Wording.load(language).questions
    assert set(type(asked).model_fields) == set(QUESTIONS)
    shown = [asked.query_quality.labels[quality] for quality in QUALITIES]
    assert len({word.casefold() for word in shown}) == len(QUALITIES)
    assert all(word in asked.query_quality.description for word in shown)


@EVERY_LANGUAGE
def test_queries_that_nobody_asked_are_told_of_before_what_to_do_and_nowhere_else(language):
    words = Wording.load(language)
    warned = words.for_cut_out()
    told, plain = warned.guidelines.retrieval, words.guidelines.retrieval
    assert words.guidelines.cut_out in told
    assert words.guidelines.cut_out not in plain
    assert told.index(words.guidelines.cut_out) < told.index("\n## ")
    assert told.replace(f"{words.guidelines.cut_out}\n\n", "") == plain
    assert f"*{words.questions.query_quality.labels.vague}*" in words.guidelines.cut_out
    assert warned.guidelines.sts == words.guidelines.sts


@EVERY_LANGUAGE
def test_a_passage_goes_by_its_letter(language):
    title = Wording.load(language).fields.passage
    assert title.format(letter="C") == title.replace("{letter}", "C") != title


@EVERY_LANGUAGE
def test_every_grade_is_explained_and_has_an_example(language):
    words = Wording.load(language)
    explained = re.findall(r"(\d):", words.questions.similarity.description)
    assert explained == ["5", "4", "3", "2", "1", "0"]
    assert rows(words.guidelines.sts)[-6:] == [f"**{grade}**" for grade in range(5, -1, -1)]


@EVERY_LANGUAGE
def test_there_is_a_worked_query_of_every_quality(language):
    words = Wording.load(language)
    asked = words.questions
    table = [line for line in words.guidelines.retrieval.splitlines() if line.startswith("| ")][1:]
    for quality, line in zip(QUALITIES, table[-4:], strict=True):
        assert f"*{asked.query_quality.labels[quality]}*;" in line
    assert asked.relevant.none in table[-2]


@EVERY_LANGUAGE
def test_a_referee_is_shown_decisions_of_both_kinds(language):
    words = Wording.load(language)
    examples = [line for line in words.guidelines.adjudication.splitlines() if line.startswith("- ") and "**" in line]
    decided = "".join(re.findall(r": (A|2|[^:]+?)\.\*\*", "\n".join(examples[-3:])))
    assert decided == f"A{words.questions.relevant.none}2"
    assert words.fields.said in words.guidelines.adjudication


@EVERY_LANGUAGE
def test_the_sheets_manual_names_the_columns_and_the_words_to_write(language):
    words = Wording.load(language)
    labels = words.questions.query_quality.labels
    for name in ("query_quality", "relevant", "rewrite", "comment"):
        assert f"[{name}]" in words.sheet.retrieval
    assert ", ".join(labels[quality] for quality in QUALITIES) in words.sheet.retrieval
    assert re.search(rf"\b{words.sheet.none}\.$", words.sheet.retrieval, re.MULTILINE)
    assert "[similarity]" in words.sheet.sts


@EVERY_LANGUAGE
def test_the_guidelines_are_in_the_files_language(language):
    found = best_language(guidelines(language), LANGUAGES)
    assert {code for code, _ in found} == {language}
    assert min(share for _, share in found) > 0.9


@EVERY_LANGUAGE
def test_markdown_is_the_only_markup(language):
    words = "\n".join(texts(Wording.load(language).model_dump()))
    assert not re.search(r"<\s*/?\s*[a-z!]|&#?\w+;|\]\(|\{(?!letter\})|javascript:", words, re.IGNORECASE)


@EVERY_LANGUAGE
def test_guidelines_fit_a_screen_or_so(language):
    assert all(60 < len(text.split()) < 650 and len(text) < 9000 for text in guidelines(language))


@pytest.mark.parametrize("language", ["fr", "IT", "ita", "", "it\n", "../it"])
def test_an_unknown_language_learns_which_there_are(language):
    with pytest.raises(UserError) as raised:
        Wording.load(language)
    assert str(raised.value) == (
        f"review.language is {language!r}, in which annotators have nothing to read (there are: ca, en, es, it, pt): "
        f"copy {WORDINGS}/en.yaml to <ISO 639-1 code>.yaml in the same folder and translate it"
    )


@EVERY_LANGUAGE
@pytest.mark.parametrize("section", ["fields", "questions", "guidelines", "sheet"])
def test_a_missing_and_an_extra_key_are_told_in_every_language(tmp_path, language, section):
    tree = yaml.safe_load((WORDINGS / f"{language}.yaml").read_text(encoding="utf-8"))
    lost = sorted(tree[section])[0]
    tree[section].pop(lost)
    tree[section]["more"] = "x"
    (tmp_path / f"{language}.yaml").write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        Wording.load(language, tmp_path)
    assert f"{section}.{lost} is missing" in str(raised.value)
    assert f"{section}.more is not a key of a wording" in str(raised.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tree: tree["fields"].update(passage="Passage"), "fields.passage must hold {letter}, once"),
        (lambda tree: tree["fields"].update(passage="{letter} {n}"), "fields.passage must hold {letter}, once"),
        (lambda tree: tree["fields"].update(query=" \n"), "fields.query is empty"),
        (lambda tree: tree["fields"].update(query="x" * 501), "fields.query: string should have at most 500"),
        (lambda tree: tree["fields"].update(query=3), "fields.query: input should be a valid string"),
        (
            lambda tree: tree["questions"]["comment"].update(description="x" * 1001),
            "questions.comment.description: string should have at most 1000",
        ),
        (
            lambda tree: tree["questions"]["query_quality"]["labels"].pop("vague"),
            "questions.query_quality.labels.vague is missing",
        ),
        (lambda tree: tree["questions"]["relevant"].pop(NONE), "questions.relevant.none is missing"),
        (lambda tree: tree["sheet"].update(guidelines="a/b"), "sheet.guidelines: string should match pattern"),
        (lambda tree: tree["sheet"].update(none="no, none"), "sheet.none must hold no comma and no quotation mark"),
    ],
)
def test_a_wrong_key_is_named(tmp_path, change, sentence):
    assert broken(tmp_path, change).startswith(sentence)


@pytest.mark.parametrize("content", [b"name: [", b"name: \xff", b"name: &a [*a]"])
def test_a_file_that_is_no_yaml_is_named(tmp_path, content):
    (tmp_path / "it.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"it\.yaml is not valid YAML: "):
        Wording.load("it", tmp_path)
