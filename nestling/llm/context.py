"""How many tokens a conversation is to a model, and whether its context holds anything beside the instructions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nestling.errors import UserError
from nestling.llm.backend import ChatRequest


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a model in a folder.

    Raises:
        UserError: its files are not whole.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    # nothing but files of somebody else's is read here, and for JSON of a wrong shape the library, written in Rust,
    # raises no class narrower than Exception
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{folder}: its tokenizer cannot be loaded ({why}): bring the model whole") from None


def tokens_of(tokenizer: Any, messages: Sequence[tuple[str, str]]) -> list[int]:
    """Return a conversation as the model reads it, up to where its answer begins.

    Raises:
        UserError: the model's chat template refuses the roles of the messages.
    """
    from jinja2 import TemplateError

    said = [{"role": role, "content": content} for role, content in messages]
    try:
        text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    except TemplateError as error:
        roles = ", ".join(role for role, _ in messages)
        raise UserError(f"the model's chat template refuses {roles} ({error}): choose another model") from None
    return list(tokenizer.encode(text, add_special_tokens=False, verbose=False))


@dataclass(frozen=True)
class Shortfall:
    """A request about an empty passage that does not fit.

    Attributes:
        asked: what the request asks for.
        prompt: its tokens.
        answer: the tokens that are kept for its answer.
        context: the tokens that prompt and answer may have together.
    """

    asked: str
    prompt: int
    answer: int
    context: int

    @property
    def way_out(self) -> str:
        """What to change."""
        needed = self.prompt + self.answer
        return f"raise max_model_len to {needed} and the longest passage's tokens, or lower max_tokens"


def shortfall(tokenizer: Any, shortest: Iterable[ChatRequest], context: int) -> Shortfall | None:
    """Return what does not fit, None where all does.

    Args:
        tokenizer: of the model.
        shortest: requests about an empty passage, whose keys say what they ask for: where one does not fit, none that
            asks the same about a passage does.
        context: tokens that a prompt and its answer may have together.
    """
    for request in shortest:
        prompt, answer = len(tokens_of(tokenizer, request.messages)), request.sampling.max_tokens
        if prompt + answer >= context:
            return Shortfall(request.key, prompt, answer, context)
    return None


def check_context(tokenizer: Any, shortest: Iterable[ChatRequest], context: int) -> None:
    """Raise a UserError where the context holds no prompt; the arguments are those of `shortfall`."""
    if found := shortfall(tokenizer, shortest, context):
        raise UserError(
            f"generate.llm: a prompt for {found.asked} takes {found.prompt} tokens before any passage, and max_tokens "
            f"keeps {found.answer} for the answer, but max_model_len is {context}: {found.way_out}"
        )
