import pytest

from nestling.errors import UserError
from nestling.llm.backend import ChatAnswer, ChatRequest, load_backend


def test_every_request_gets_the_answer_of_its_key():
    requests = [ChatRequest(key, (("system", "sii breve"), ("user", f"il testo {key}")), 1) for key in "ab"]
    assert list(load_backend("echo").answer(requests)) == [
        ChatAnswer("a", "il testo a", 3, 3),
        ChatAnswer("b", "il testo b", 3, 3),
    ]


def test_braces_in_a_text_are_plain_text():
    request = ChatRequest("a", (("user", "{0} {{ x }} %s {missing}"),), 1)
    (answer,) = load_backend("echo").answer([request])
    assert answer.text == "{0} {{ x }} %s {missing}"


def test_requests_are_taken_one_at_a_time():
    endless = (ChatRequest(str(number), (("user", "ciao"),), 1) for number in iter(int, 1))
    assert next(load_backend("echo").answer(endless)).text == "ciao"


def test_an_unknown_backend_is_named_with_those_there_are():
    with pytest.raises(UserError, match=r"^there is no LLM backend 'vlm': choose one of .*echo"):
        load_backend("vlm")
