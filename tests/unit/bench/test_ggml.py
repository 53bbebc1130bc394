"""The names and shapes by which whisper.cpp finds the weights of CTranslate2's file."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.peers.ggml import _bytes, _of_layer, _tensors

WIDTH = 4


@pytest.mark.parametrize(
    ("part", "rows", "names"),
    [
        ("self_attention/layer_norm/gamma", 4, ["attn_ln.weight"]),
        (
            "self_attention/linear_0/weight",
            12,
            ["attn.query.weight", "attn.key.weight", "attn.value.weight"],
        ),
        ("self_attention/linear_0/bias", 12, ["attn.query.bias", "attn.value.bias"]),
        ("self_attention/linear_1/weight", 4, ["attn.out.weight"]),
        ("attention/linear_0/bias", 4, ["cross_attn.query.bias"]),
        ("attention/linear_1/bias", 8, ["cross_attn.value.bias"]),
        ("attention/linear_2/weight", 4, ["cross_attn.out.weight"]),
        ("ffn/layer_norm/beta", 4, ["mlp_ln.bias"]),
        ("ffn/linear_0/weight", 16, ["mlp.0.weight"]),
        ("ffn/linear_1/bias", 4, ["mlp.2.bias"]),
    ],
)
def test_a_layer_is_split_as_whisper_cpp_has_it(part: str, rows: int, names: list[str]) -> None:
    split = dict(_of_layer(part, np.zeros((rows, WIDTH), np.float16)))
    assert list(split) == names


def test_what_is_outside_of_layers_is_named_and_shaped() -> None:
    found = dict(
        _tensors(
            {
                "encoder/conv1/bias": np.zeros(4, np.float16),
                "encoder/position_encodings/encodings": np.zeros((2, 4), np.float16),
                "encoder/layer_norm/gamma": np.zeros(4, np.float16),
                "decoder/layer_norm/beta": np.zeros(4, np.float16),
                "decoder/embeddings/weight": np.zeros((9, 4), np.float16),
                "decoder/num_heads": np.zeros(1, np.int16),
            }
        )
    )
    assert {name: array.shape for name, array in found.items()} == {
        "encoder.conv1.bias": (4, 1),
        "encoder.positional_embedding": (2, 4),
        "encoder.ln_post.weight": (4,),
        "decoder.ln.bias": (4,),
        "decoder.token_embedding.weight": (9, 4),
    }


def test_tokens_are_the_bytes_that_their_letters_stand_for() -> None:
    assert _bytes("Ġthe") == b" the"
    assert _bytes("Ã©") == "é".encode()
