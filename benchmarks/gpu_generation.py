"""Print the tokens per second of queries written by a model of Qwen2.5-7B's shape, beside what the memory allows.

    python benchmarks/gpu_generation.py [--requests 2000] [--shape 7b|tiny] [--dtype bfloat16]

Weights are random (no download): the time of a decoding step does not hang on their values. Nothing is measured of the
queries' quality. Needs a GPU of 24 GB for 7b, and 16 GB of disk in the folder for temporary files; `--shape tiny` runs
everything on a CPU to see that it works.

The bound: a decoding step reads all weights once, and the keys and values of every sequence in the batch. At a memory
bandwidth W (measured here by a copy on the device), a step of S sequences takes at least (weights + S x KV) / W.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.generation import Recorder, ours, passages
from nestling.llm.backend import ChatAnswer, ModelParams, SamplingParams
from nestling.llm.vllm import VllmBackend, VllmParams
from nestling.models import fingerprint
from nestling.queries.writing import KindParams, WritingParams
from tests.tiny_llm import tiny_llm

IN_FLIGHT, LENGTH = 512, 8192
SHAPE = {  # of Qwen2.5-7B, from its published config.json
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
}
WRITING = WritingParams(
    kinds={
        "question": KindParams(queries=2.0, min_words=1, max_words=20),
        "keywords": KindParams(queries=1.0, min_words=1, max_words=8),
    },
    summary_words=0,
    attempts=1,
    sampling=SamplingParams(temperature=0.8, top_p=0.95, max_tokens=512),
)


def build(folder: Path, shape: str) -> Path:
    """Write a model of that shape with random weights and the tiny model's tokenizer."""
    tiny = tiny_llm(folder / "tiny", LENGTH, 0)
    if shape == "tiny":
        return tiny
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        torch.set_default_dtype(torch.bfloat16)
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPE, **ends))
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder / shape)
    tokenizer.save_pretrained(folder / shape)
    return folder / shape


def bandwidth(gib: float = 2.0) -> float:
    """Return bytes per second that a copy on the device reads and writes; on a CPU, in its main memory."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = torch.empty(int(gib * 2**30), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    _wait()
    start = time.perf_counter()
    for _ in range(10):
        target.copy_(source)
    _wait()
    return 2 * 10 * source.numel() / (time.perf_counter() - start)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def kv_bytes(folder: Path, dtype: str) -> int:
    """Return the bytes of keys and values that one token of one sequence takes."""
    config = Qwen2Config.from_pretrained(folder)
    heads = 2 * config.num_hidden_layers * config.num_key_value_heads
    return heads * (config.hidden_size // config.num_attention_heads) * (4 if dtype == "float32" else 2)


def measure(folder: Path, requests: int, dtype: str) -> tuple[list[ChatAnswer], float]:
    """Return the answers to so many of our prompts, and the seconds without the loading."""
    model, recorder = ModelParams(name=str(folder), revision=fingerprint(folder)), Recorder()
    ours(model, recorder, passages(requests), WRITING)
    memory = 0.9 if torch.cuda.is_available() else 0.1
    params = {"dtype": dtype, "quantization": "none", "max_model_len": LENGTH, "tensor_parallel": 1}
    backend = VllmBackend(model, VllmParams(kind="vllm", **params, memory=memory, in_flight=IN_FLIGHT))
    start = time.perf_counter()
    answers = [one for one in backend.answer(recorder.requests) if isinstance(one, ChatAnswer)]
    seconds = time.perf_counter() - start
    backend.close()
    return answers, seconds


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--shape", choices=["7b", "tiny"], default="7b")
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = build(Path(temporary), options.shape)
        weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        kv, speed = kv_bytes(folder, options.dtype), bandwidth()
        torch.cuda.empty_cache()
        answers, seconds = measure(folder, options.requests, options.dtype)
    prompt, cached, new = (
        sum(getattr(answer, name) for answer in answers)
        for name in ("prompt_tokens", "cached_tokens", "completion_tokens")
    )
    step = (weights + IN_FLIGHT * (prompt + new / 2) / len(answers) * kv) / speed
    print(f"{len(answers)} answers in {seconds:.1f} s; {weights / 1e9:.1f} GB of weights")
    print(
        f"tokens per second: {prompt / seconds:.0f} in ({cached / prompt:.0%} prefix-cached), {new / seconds:.0f} out"
    )
    print(f"bound of decoding at {speed / 1e12:.2f} TB/s, {IN_FLIGHT} sequences: {IN_FLIGHT / step:.0f} tokens/s out")
    print(f"reached: {new / seconds * step / IN_FLIGHT:.1%}")


if __name__ == "__main__":
    main()
