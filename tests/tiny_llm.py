"""A chat model small enough to build and to run in a test: two layers of random weights, a tokenizer of the sample."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

SAMPLE = Path(__file__).parents[1] / "data" / "raw" / "sample"
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}  # of 32 dimensions: the fewest that vLLM has kernels for


def tiny_llm(folder: Path, positions: int, seed: int) -> Path:
    """Build the model in a folder, in about a second, and return the folder; the same arguments give the same bytes.

    Args:
        folder: where; it is made.
        positions: the longest prompt and answer together, in tokens.
        seed: of the weights.
    """
    tokenizer = _tokenizer(positions)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        **SIZES,
        **HEADS,
        **ends,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config).eval()
    for name, value in ends.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(positions: int) -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=3000, show_progress=False, special_tokens=list(SPECIAL), initial_alphabet=alphabet
    )
    bpe.train_from_iterator(_texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHAT,
        model_max_length=positions,
        clean_up_tokenization_spaces=False,
    )


def _texts() -> list[str]:
    files = [*sorted((SAMPLE / "documents").iterdir()), SAMPLE / "queries.jsonl"]
    return [json.loads(line)["text"] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
