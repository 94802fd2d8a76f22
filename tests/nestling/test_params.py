import re
from pathlib import Path

import pytest
import yaml
from pydantic import Field

from nestling.errors import UserError
from nestling.params import StageParams, Strict, read_params, with_param

GOOD = "shared:\n  seed: 1\n  set: sample\npress:\n  rate: 2.0e-5\n  jars: [1, 2]\n  lid: {kind: cork, width: 3}\n"


class Lid(Strict):
    kind: str
    width: int


class PressParams(StageParams, section="press", shared=("seed",)):
    seed: int
    rate: float = Field(gt=0)
    jars: list[int]
    lid: Lid


def load(folder: Path, text: str) -> PressParams:
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return PressParams.load(folder / "params.yaml")


def refused(folder: Path, text: str) -> str:
    with pytest.raises(UserError) as raised:
        load(folder, text)
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence.removeprefix(f"{folder}/params.yaml").lstrip(": ")


def test_a_section_and_the_shared_keys_it_names_become_one_object(tmp_path):
    params = load(tmp_path, GOOD)
    assert (params.seed, params.rate, params.jars, params.lid) == (1, 2e-5, [1, 2], Lid(kind="cork", width=3))


@pytest.mark.parametrize(
    ("good", "bad", "sentence"),
    [
        ("rate: ", "ratte: ", "press.rate is missing; press.ratte is not a parameter; did you mean rate?"),
        ("  jars: [1, 2]\n", "", "press.jars is missing"),
        ("[1, 2]", "[1, two]", "press.jars.1 is 'two': input should be a valid integer"),
        ("[1, 2]", "3", "press.jars is 3: input should be a valid array"),
        ("width: 3", "width: 3.5", "press.lid.width is 3.5: input should be a valid integer"),
        ("width: 3", "wdth: 3", "press.lid.width is missing; press.lid.wdth is not a parameter"),
        ("2.0e-5", "yes", "press.rate is True: input should be a valid number"),
        ("2.0e-5", "0.0", "press.rate is 0.0: input should be greater than 0"),
        ("2.0e-5", "many", "press.rate is 'many': input should be a valid number"),
        ("seed: 1", "sed: 1", "shared.sed is not a parameter; did you mean seed?"),
        ("  seed: 1\n", "", "shared.seed is missing"),
        ("seed: 1", "seed: one", "shared.seed is 'one': input should be a valid integer"),
        ("seed: 1", "seed: 1\n  no: 2\n  7: 8", "shared.7 is not a parameter; there are "),
        ("lid:", "seed: 2\n  lid:", "press.seed is not a parameter: it stands in `shared`"),
        ("press:", "pres:", "the section `press` is missing or is not a mapping"),
        ("shared:", "share:", "the section `shared` is missing or is not a mapping"),
    ],
)
def test_a_wrong_parameter_is_named_in_one_sentence(tmp_path, good, bad, sentence):
    assert refused(tmp_path, GOOD.replace(good, bad, 1)).startswith(sentence)


@pytest.mark.parametrize("text", ["2e-5", "2.0e5"])
def test_a_number_that_yaml_reads_as_text_gets_a_hint(tmp_path, text):
    sentence = refused(tmp_path, GOOD.replace("2.0e-5", text))
    assert sentence == (
        f"press.rate is '{text}': input should be a valid number "
        "(write 2.0e-5, with point and sign: YAML reads 2e-5 and 2.0e5 as text)"
    )


def test_a_whole_number_serves_where_any_number_does(tmp_path):
    assert load(tmp_path, GOOD.replace("2.0e-5", "2")).rate == 2.0


def test_keys_shared_with_other_stages_only_are_not_taken(tmp_path):
    assert "set" not in load(tmp_path, GOOD).model_fields_set


def test_parameters_do_not_change(tmp_path):
    params = load(tmp_path, GOOD)
    with pytest.raises(ValueError, match="frozen"):
        params.rate = 1.0


def test_a_default_in_code_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match=re.escape("Hidden: defaults of ['depth'] belong in params.yaml")):
        type("Hidden", (Strict,), {"__annotations__": {"depth": int}, "depth": 3})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a: [1", "is not valid YAML"),
        (b"a: \xff\xfe", "is not valid YAML"),
        (b"", "is not a mapping of sections"),
        (b"- a", "is not a mapping of sections"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_in_one_line(tmp_path, content, sentence):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(UserError, match=rf"^{tmp_path}/params.yaml {sentence}") as raised:
        read_params(tmp_path / "params.yaml")
    assert "\n" not in str(raised.value)


def test_a_missing_file_says_where_to_stand(tmp_path):
    with pytest.raises(UserError, match=r"params.yaml is missing: run from the root of the project"):
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("shared:\n  set: a   # why\n  set2: b\n", "new", "shared:\n  set: new   # why\n  set2: b\n"),
        ("# it\r\nshared:\r\n    set: 'a'\r\n", "no", '# it\r\nshared:\r\n    set: "no"\r\n'),
        ("shared: {set: a}\n", "2024-02-30", 'shared: {set: "2024-02-30"}\n'),
        ("set: x\nshared: {seed:   1, set: a}\n", "123", 'set: x\nshared: {seed:   1, set: "123"}\n'),
        ("shared:\n  set:\n  l:\n  - 0x10\n", "b", "shared:\n  set: b\n  l:\n  - 0x10\n"),
        ("shared: {set: a}", "models/b", "shared: {set: models/b}"),
    ],
)
def test_a_changed_value_leaves_every_other_byte(tmp_path, before, value, after):
    (tmp_path / "params.yaml").write_bytes(before.encode())
    changed = with_param(tmp_path / "params.yaml", "shared.set", value)
    assert changed == after
    assert yaml.safe_load(changed)["shared"]["set"] == value


@pytest.mark.parametrize(
    "text",
    ["a: 1", "shared: 1", "shared: {}", "shared: {set: [a]}", "a: &b x\nshared: {set: *b}", "shared: {set: &b x}"],
)
def test_a_value_that_is_not_there_or_shared_is_left_to_the_person(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"set shared\.set by hand"):
        with_param(tmp_path / "params.yaml", "shared.set", "new")
