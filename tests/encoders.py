"""Encoders small enough to train in a test: our static one, and a transformer of random weights."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import safe_open
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from nestling.retrieval.static import Features, build_static

LETTERS = "abcdefghijklmnopqrstuvwxyzàèéìòù"
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


def static_encoder(texts: Sequence[str], dims: int) -> SentenceTransformer:
    """Return a static encoder of those texts."""
    bag = build_static(texts, texts, Features({"word": 1.0, "gram4": 0.6}, 1.2), dims, 10_000, seed=1)
    return SentenceTransformer(modules=[bag], device="cpu", similarity_fn_name="cosine")


def tiny_bert() -> SentenceTransformer:
    """Return a BERT of two layers, 16 dimensions and random weights, always the same; it reads letters."""
    return SentenceTransformer(modules=[Transformer(_bert().name, max_seq_length=48), Pooling(16)], device="cpu")


@cache
def _bert() -> TemporaryDirectory[str]:
    folder = TemporaryDirectory(prefix="tiny-bert-")
    vocabulary = [*SPECIAL.values(), *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    pieces = {piece: number for number, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, vocabulary.index(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(Path(folder.name))
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **sizes)).save_pretrained(
            folder.name
        )
    return folder


def stored_in(dtype: torch.dtype, folder: Path) -> Path:
    """Write the tiny BERT with its weights in `dtype`, as half of the hub's checkpoints are, and return its folder."""
    tiny_bert().to(dtype).save_pretrained(str(folder), create_model_card=False)
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {dtype}  # noqa: SIM118 - no mapping
    return folder
