import json

from nestling.llm.backend import ChatRequest, SamplingParams, canonical
from nestling.llm.echo import EchoBackend

SAMPLING = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=64)
TEXT = {"type": "string", "minLength": 1, "maxLength": 20}


def request(text, schema=TEXT, key="a", seed=1):
    return ChatRequest(key, (("system", "sii breve"), ("user", text)), seed, canonical(schema), SAMPLING)


def said(*requests):
    return [json.loads(answer.text) for answer in EchoBackend().answer(requests)]


def test_every_request_gets_the_answer_of_its_key_with_the_tokens_it_cost():
    answers = list(EchoBackend().answer([request("il mulino", key="a"), request("la farina fina", key="b")]))
    counted = [(answer.key, answer.finish, answer.prompt_tokens, answer.completion_tokens) for answer in answers]
    assert counted == [("a", "stop", 2, 2), ("b", "stop", 3, 3)]
    assert [sorted(json.loads(answer.text).split()) for answer in answers] == [
        ["il", "mulino"],
        ["farina", "fina", "la"],
    ]


def test_an_answer_has_the_shape_of_its_schema_its_properties_in_order():
    grade = {"type": "integer", "minimum": 2, "maximum": 3}
    several = {"type": "array", "items": TEXT, "minItems": 3, "maxItems": 3}
    (tree,) = said(request("uno due", {"type": "object", "properties": {"z": several, "a": grade, "m": TEXT}}))
    assert list(tree) == ["z", "a", "m"]
    assert [len(tree["z"]), tree["a"] in (2, 3), set(tree["m"].split())] == [3, True, {"uno", "due"}]


def test_no_answer_is_longer_than_its_schema_lets_it_be_and_none_is_empty():
    assert said(request("precipitevolissimevolmente")) == ["precipitevolissimevo"]
    assert said(request(""), request("</passage>")) == ["?", "?"]


def test_the_same_request_gets_the_same_answer_and_another_seed_another():
    words = " ".join(map(str, range(50)))
    assert said(request(words)) == said(request(words, key="b"))
    assert said(request(words)) != said(request(words, seed=2))


def test_braces_in_a_text_are_plain_text():
    assert set(said(request("{0} {{ %s {x}"))[0].split()) == {"{0}", "{{", "%s", "{x}"}


def test_requests_are_taken_one_at_a_time():
    endless = (request("ciao", key=str(number)) for number in iter(int, 1))
    assert json.loads(next(EchoBackend().answer(endless)).text) == "ciao"
