"""What is built for OpenVINO without torch computes what torch does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import RobertaConfig, RobertaModel

from tests.contract.checkpoints import tiny_cross, tiny_sentence
from tests.contract.subjects import MINILM, real_model
from worker.engine import LoadError
from worker.engines.encoders import openvino_bert
from worker.engines.encoders.cross import read_cross_encoder
from worker.engines.encoders.sentence import Dense, read_checkpoint
from worker.engines.encoders.torch_sentence import SentenceModel

POOLINGS = [
    ["cls_token"],
    ["max_tokens"],
    ["mean_tokens"],
    ["mean_sqrt_len_tokens"],
    ["weightedmean_tokens"],
    ["lasttoken"],
    ["cls_token", "mean_tokens"],
]

Arrays = list[np.ndarray[Any, Any]]


def batch(pad_token: int, *lengths: int) -> Arrays:
    """Token ids and attention mask of texts that are so long."""
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    ids = np.random.default_rng(20).integers(5, 90, mask.shape)
    return [np.where(mask == 1, ids, pad_token), mask]


def assert_same_vectors(folder: Path) -> None:
    checkpoint = read_checkpoint(str(folder))
    assert openvino_bert.builds(checkpoint.transformer)
    graph = openvino_bert.sentence_graph(checkpoint)
    built = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    model = SentenceModel(checkpoint).eval()
    for lengths in ([7], [1, 30, 11], [checkpoint.max_tokens], [1]):
        arrays = batch(checkpoint.pad_token, *lengths)
        with torch.no_grad():
            expected = model(*map(torch.from_numpy, arrays)).numpy()
        np.testing.assert_allclose(built(arrays)[0], expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("modes", POOLINGS, ids="+".join)
def test_each_pooling(tmp_path: Path, modes: list[str]) -> None:
    folder = tiny_sentence.pool_by(tiny_sentence.minilm(tmp_path / "m"), *modes)
    assert_same_vectors(folder)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "silu"])
def test_each_activation(tmp_path: Path, activation: str) -> None:
    folder = tiny_sentence.minilm(tmp_path / "m")
    assert_same_vectors(tiny_cross.edit_config(folder, hidden_act=activation))


def test_positions_counted_from_padding(tmp_path: Path) -> None:
    assert_same_vectors(tiny_sentence.bge_m3(tmp_path / "m"))


def test_roberta_with_a_padding_token_of_its_own(tmp_path: Path) -> None:
    folder = tiny_sentence.bge_m3(tmp_path / "m")
    config = RobertaConfig(
        vocab_size=400,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.2,
        max_position_embeddings=103,
        type_vocab_size=2,
        pad_token_id=3,
    )
    RobertaModel(config).save_pretrained(folder)
    assert_same_vectors(folder)


def test_dense_layers_after_the_pooling(tmp_path: Path) -> None:
    """A built graph has the layers that sentence-transformers puts after a transformer."""
    checkpoint = read_checkpoint(str(tiny_sentence.minilm(tmp_path / "m")))
    (tmp_path / "dense").mkdir()
    layer = torch.nn.Linear(48, 20)
    tensors = {f"linear.{name}": tensor.data for name, tensor in layer.named_parameters()}
    save_file(tensors, tmp_path / "dense" / "model.safetensors", metadata={"format": "pt"})
    dense = Dense(tmp_path / "dense", 48, 20, True, "Tanh")
    deeper = type(checkpoint)(
        **{name: getattr(checkpoint, name) for name in checkpoint.__struct_fields__}
        | {"layers": (dense, *checkpoint.layers), "dimensions": 20}
    )
    built = openvino.compile_model(
        openvino_bert.sentence_graph(deeper), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    arrays = batch(0, 9, 4)
    with torch.no_grad():
        expected = SentenceModel(deeper).eval()(*map(torch.from_numpy, arrays)).numpy()
    np.testing.assert_allclose(built(arrays)[0], expected, atol=2e-5, rtol=1e-4)


# --- files ---------------------------------------------------------------------------------------

Tensors = dict[str, torch.Tensor]


def aged(tensors: Tensors) -> Tensors:
    """Names as the first releases wrote them, in the company of a head."""
    renamed = {"cls.predictions.bias": torch.zeros(3)}
    for name, tensor in tensors.items():
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        renamed["bert." + old.replace("LayerNorm.bias", "LayerNorm.beta")] = tensor
    return renamed


def in_bfloat16(tensors: Tensors) -> Tensors:
    return {name: tensor.bfloat16() for name, tensor in tensors.items()}


def in_float16(tensors: Tensors) -> Tensors:
    return {name: tensor.half() for name, tensor in tensors.items()}


@pytest.mark.parametrize("change", [aged, in_bfloat16, in_float16])
def test_weights_as_they_are_found(tmp_path: Path, change: Callable[[Tensors], Tensors]) -> None:
    folder = tiny_sentence.minilm(tmp_path / "m")
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    assert_same_vectors(folder)


def test_weights_in_several_files(tmp_path: Path) -> None:
    folder = tiny_sentence.minilm(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"one.safetensors": names[::2], "other.safetensors": names[1::2]}
    for file, own in parts.items():
        save_file({name: tensors[name] for name in own}, folder / file, metadata={"format": "pt"})
    where = {name: file for file, own in parts.items() for name in own}
    tiny_sentence.write(
        folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": where}
    )
    assert_same_vectors(folder)


def test_a_tensor_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = tiny_sentence.minilm(tmp_path / "m")
    tiny_cross.drop_tensors(folder, "encoder.layer.1.output.dense.bias")
    with pytest.raises(LoadError, match=r"lacks the tensor encoder\.layer\.1\.output\.dense\.bias"):
        openvino_bert.sentence_graph(read_checkpoint(str(folder)))


def test_a_head_that_was_never_saved_is_not_made_up(tmp_path: Path) -> None:
    folder = tiny_cross.bert(tmp_path / "m")
    tiny_cross.drop_tensors(folder, "classifier.")
    with pytest.raises(LoadError, match=r"lacks the tensor classifier\.weight"):
        openvino_bert.pair_graph(read_cross_encoder(str(folder)))


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "mpnet"},
        {"position_embedding_type": "relative_key"},
        {"hidden_act": "quick_gelu"},
        {"is_decoder": True},
    ],
)
def test_what_is_not_known_is_left_to_torch(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = tiny_sentence.minilm(tmp_path / "m")
    assert openvino_bert.builds(folder)
    assert not openvino_bert.builds(tiny_cross.edit_config(folder, **change))


# --- without torch -------------------------------------------------------------------------------

WITHOUT_TORCH = """
import sys
from pathlib import Path
for name in ("torch", "transformers", "accelerate", "jinja2"):
    sys.modules[name] = None
from worker.engines.encoders import openvino_convert
getattr(openvino_convert, sys.argv[1])(sys.argv[2], Path(sys.argv[3]))
"""


@pytest.mark.parametrize("of", ["MiniLM", "pairs"])
def test_the_conversion_needs_no_torch(tmp_path: Path, of: str) -> None:
    if of == "MiniLM":
        function, source = "convert", real_model(MINILM)
    else:
        function, source = "convert_pairs", tiny_cross.xlm_roberta(tmp_path / "m")
    argv = [sys.executable, "-c", WITHOUT_TORCH, function, str(source), str(tmp_path)]
    subprocess.run(argv, check=True, timeout=120)
    assert openvino.Core().read_model(tmp_path / "model.xml").inputs[0].any_name == "input_ids"
