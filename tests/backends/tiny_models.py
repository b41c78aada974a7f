"""Model files of kinds of which no small real one is at hand: random weights, a few hundred kB, always the same.

Tensor names and shapes are those that llama.cpp's loader asks for (src/models/*.cpp).
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from numpy.typing import NDArray

Weights = NDArray[np.floating]

WIDTH = 32
HEADS = 2
HEAD_WIDTH = WIDTH // HEADS
INNER = 2 * WIDTH
CONTEXT = 4096
WINDOW = 32
"""Tokens that a sliding-window layer of `sliding_window` looks back."""

_MERGES = ["t h", "th e", "i n", "Ġ the"]
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class _Maker:
    """A model file on its way: what all kinds have in common, and random weights."""

    def __init__(self, path: Path, architecture: str, layers: int) -> None:
        self._random = np.random.default_rng(1)
        self.path = path
        self.writer = GGUFWriter(path, architecture)
        self.writer.add_context_length(CONTEXT)
        self.writer.add_embedding_length(WIDTH)
        self.writer.add_block_count(layers)
        self.writer.add_feed_forward_length(INNER)
        self.writer.add_layer_norm_rms_eps(1e-6)
        tokens = self._add_vocabulary()
        self.add("token_embd.weight", self.normal(tokens, WIDTH))
        # Not tied to the embeddings, which would make each token say itself again.
        self.add("output.weight", self.normal(tokens, WIDTH) * 2 / WIDTH**0.5)

    def normal(self, *shape: int) -> Weights:
        return self._random.normal(size=shape)

    def add(self, name: str, weights: Weights) -> None:
        self.writer.add_tensor(name, weights.astype(np.float32))

    def matrices(self, layer: int, sizes: Mapping[str, tuple[int, int]]) -> None:
        """Add matrices (out, in) that keep the length of what they are given."""
        for name, (rows, columns) in sizes.items():
            self.add(f"blk.{layer}.{name}.weight", self.normal(rows, columns) / columns**0.5)

    def norms(self, layer: int, *names: str, width: int = WIDTH) -> None:
        for name in names:
            self.add(f"blk.{layer}.{name}.weight", 1 + self.normal(width) / 10)

    def feed_forward(self, layer: int) -> None:
        self.norms(layer, "ffn_norm")
        sizes = {"ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
        self.matrices(layer, sizes)

    def attention(self, layer: int, *, sharpness: float = 1.0) -> None:
        """Add an attention layer; a sharp one picks out few tokens, where a dull one gives the mean of all."""
        self.norms(layer, "attn_norm")
        self.matrices(layer, dict.fromkeys(("attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH)))
        self.add(f"blk.{layer}.attn_q.weight", self.normal(WIDTH, WIDTH) / WIDTH**0.5 * sharpness)

    def finish(self, last_norm: str = "output_norm") -> Path:
        self.add(f"{last_norm}.weight", np.ones(WIDTH))
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        return self.path

    def _add_vocabulary(self) -> int:
        tokens = [*_byte_letters(), *(merge.replace(" ", "") for merge in _MERGES), *_SPECIAL]
        normal = len(tokens) - len(_SPECIAL)
        self.writer.add_tokenizer_model("gpt2")
        self.writer.add_tokenizer_pre("gpt-2")
        self.writer.add_token_list(tokens)
        self.writer.add_token_types([TokenType.NORMAL] * normal + [TokenType.CONTROL] * len(_SPECIAL))
        self.writer.add_token_merges(_MERGES)
        self.writer.add_bos_token_id(normal)
        self.writer.add_eos_token_id(normal + 2)
        self.writer.add_add_bos_token(value=False)
        self.writer.add_chat_template(_TEMPLATE)
        return len(tokens)


def _byte_letters() -> list[str]:
    """Give the letter that stands for each byte in a byte-level vocabulary, as GPT-2 began it."""
    seen = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    unseen = [byte for byte in range(256) if byte not in seen]
    return [chr(byte) for byte in seen] + [chr(256 + place) for place in range(len(unseen))]


def recurrent(path: Path) -> Path:
    """Write a Mamba: a state of fixed size instead of a cache, which cannot be cut back."""
    layers, state, rank, kernel = 2, 8, 2, 4
    maker = _Maker(path, "mamba", layers)
    maker.writer.add_ssm_conv_kernel(kernel)
    maker.writer.add_ssm_inner_size(INNER)
    maker.writer.add_ssm_state_size(state)
    maker.writer.add_ssm_time_step_rank(rank)
    for layer in range(layers):
        maker.norms(layer, "attn_norm")
        sizes = {"ssm_in": (2 * INNER, WIDTH), "ssm_x": (rank + 2 * state, INNER), "ssm_out": (WIDTH, INNER)}
        maker.matrices(layer, sizes)
        maker.matrices(layer, {"ssm_conv1d": (INNER, kernel), "ssm_dt": (INNER, rank)})
        maker.add(f"blk.{layer}.ssm_conv1d.bias", maker.normal(INNER) / 10)
        # Small steps and slow decay, so that the state still holds what was read a thousand tokens ago.
        maker.add(f"blk.{layer}.ssm_dt.bias", maker.normal(INNER) - 5)
        maker.add(f"blk.{layer}.ssm_a", -np.exp(maker.normal(INNER, state) - 1))
        maker.add(f"blk.{layer}.ssm_d", 1 + maker.normal(INNER) / 10)
    return maker.finish()


def hybrid(path: Path) -> Path:
    """Write an LFM2: short convolutions with a state, and attention with a cache, in turns."""
    layers = 4
    maker = _Maker(path, "lfm2", layers)
    maker.writer.add_head_count(HEADS)
    maker.writer.add_head_count_kv([0, HEADS] * (layers // 2))
    maker.writer.add_shortconv_l_cache(3)
    for layer in range(layers):
        if layer % 2:
            maker.attention(layer, sharpness=2)
            maker.norms(layer, "attn_q_norm", "attn_k_norm", width=HEAD_WIDTH)
        else:
            maker.norms(layer, "attn_norm")
            maker.matrices(layer, {"shortconv.in_proj": (3 * WIDTH, WIDTH), "shortconv.out_proj": (WIDTH, WIDTH)})
            maker.matrices(layer, {"shortconv.conv": (WIDTH, 3)})
        maker.feed_forward(layer)
    return maker.finish("token_embd_norm")


def multi_rope(path: Path) -> Path:
    """Write the text part of a Qwen2-VL: each position is four numbers (M-RoPE)."""
    layers = 3
    maker = _Maker(path, "qwen2vl", layers)
    maker.writer.add_head_count(HEADS)
    maker.writer.add_rope_dimension_sections([2, 3, 3, 0])
    for layer in range(layers):
        maker.attention(layer, sharpness=3)
        for name in ("attn_q", "attn_k", "attn_v"):
            maker.add(f"blk.{layer}.{name}.bias", maker.normal(WIDTH) / 10)
        maker.feed_forward(layer)
    return maker.finish()


def sliding_window(path: Path) -> Path:
    """Write a Gemma 3 in which two of three layers look back `WINDOW` tokens, and the third as far as there are."""
    layers = 6
    maker = _Maker(path, "gemma3", layers)
    maker.writer.add_head_count(HEADS)
    maker.writer.add_sliding_window(WINDOW)
    maker.writer.add_sliding_window_pattern([layer % 3 < 2 for layer in range(layers)])
    for layer in range(layers):
        maker.attention(layer)
        maker.norms(layer, "post_attention_norm", "post_ffw_norm")
        # Keys and queries are brought to one length each, so only their norms' weights can sharpen this one.
        maker.norms(layer, "attn_k_norm", width=HEAD_WIDTH)
        maker.add(f"blk.{layer}.attn_q_norm.weight", 3 + maker.normal(HEAD_WIDTH) / 10)
        maker.feed_forward(layer)
    return maker.finish()


KINDS: Mapping[str, Callable[[Path], Path]] = {
    "recurrent": recurrent,
    "hybrid": hybrid,
    "multi rope": multi_rope,
    "sliding window": sliding_window,
}
