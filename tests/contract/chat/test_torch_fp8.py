"""FP8 checkpoints on torch: computed with as they are where the device can, or else dequantised.

The product itself is CUDA's; a reference stands for it here.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers.quantizers.quantizer_finegrained_fp8 import FineGrainedFP8HfQuantizer

from ipc.messages.jobs import Job
from tests.contract.chat import varlen
from tests.contract.chat.torch_chats import Reference, first_logits, spec
from tests.contract.checkpoints import scaled, tiny, tiny_vision
from tests.contract.driver import Driver, chat
from tests.contract.vision.torch_images import RED, ImageReference, ask
from worker.engines.torch_chat.engine import TorchChat
from worker.engines.torch_chat.fp8 import Fp8Linear, obstacle

# Everything in multiples of a block.
BLOCKS = {
    "hidden_size": 256,
    "intermediate_size": 640,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
}
LAYERS = 3 * 7


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device with the product."""
    monkeypatch.setattr("worker.engines.torch_chat.fp8.scaled_mm", scaled.reference)
    monkeypatch.setattr(FineGrainedFP8HfQuantizer, "validate_environment", lambda *_, **__: None)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.qwen3(tmp_path_factory.mktemp("qwen3"), **BLOCKS)


@pytest.fixture(scope="module")
def packed(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fp8") / "qwen3"
    tiny_vision.quantise(plain, folder, scaled.BLOCK)
    return folder


def loaded(path: Path, **changed: Any) -> tuple[TorchChat, str]:
    """The engine, and what it tells of itself."""
    engine = TorchChat()
    values = {"options": {"dtype": "bfloat16"}} | changed
    return engine, engine.load(spec(path, **values), lambda _: None).detail


def question() -> Job:
    return chat("count from one to twenty", max_tokens=8)


def layers(engine: TorchChat) -> list[Fp8Linear]:
    return [one for one in engine.language_model.model.modules() if isinstance(one, Fp8Linear)]


def layer(rows: int, columns: int, bias: torch.Tensor | None = None) -> Fp8Linear:
    """Of random weights, whose blocks differ much in size."""
    blocks = torch.randn(rows // scaled.BLOCK, scaled.BLOCK, columns // scaled.BLOCK, scaled.BLOCK)
    scales = torch.rand(len(blocks), blocks.shape[2]) / 100
    return Fp8Linear((blocks * 60).reshape(rows, columns).to(torch.float8_e4m3fn), scales, bias)


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


@pytest.mark.usefixtures("capable")
@pytest.mark.parametrize("tokens", [1, 3, 4, 130])
@pytest.mark.parametrize("columns", [128, 640, 1024])
def test_a_layer_differs_from_the_plain_product_by_the_rounding_of_its_inputs(
    tokens: int, columns: int
) -> None:
    torch.manual_seed(20)
    one = layer(256, columns, bias := torch.randn(256).bfloat16())
    inputs = torch.randn(2, tokens, columns).bfloat16()
    found = one(inputs)
    assert (found.shape, found.dtype) == ((2, tokens, 256), torch.bfloat16)
    assert 0.01 < apart(found, inputs.float() @ one.dequantised().t() + bias) < 0.04


@pytest.mark.usefixtures("capable")
def test_inputs_of_nothing_and_of_any_size_stay_numbers() -> None:
    one = layer(128, 256)
    inputs = torch.zeros(3, 256)
    inputs[1], inputs[2] = 1e-30, 1e30
    found = one(inputs)
    assert not found[0].any()
    assert found.isfinite().all()


@pytest.mark.usefixtures("capable")
def test_a_compiler_takes_a_layer_whole() -> None:
    torch.manual_seed(20)
    one = layer(256, 640)
    compiled = torch.compile(one, backend="aot_eager", fullgraph=True, dynamic=True)
    with torch.inference_mode():
        for tokens in (3, 8, 17):
            inputs = torch.randn(tokens, 640).bfloat16()
            torch.testing.assert_close(compiled(inputs), one(inputs))


@pytest.mark.usefixtures("capable")
@pytest.mark.parametrize("known", ["host", "device"])
def test_a_chat_is_computed_in_the_fp8_of_its_checkpoint(
    packed: Path, known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if known == "device":
        monkeypatch.setattr("worker.engines.torch_chat.flash.varlen_attn", varlen.reference)
    engine, detail = loaded(packed, options={"dtype": "float32"})
    assert f"{LAYERS} layers in FP8" in detail
    found = first_logits(Driver(engine), question(), monkeypatch)
    engine.close()
    tiny_vision.dequantise(packed, tmp_path / "plain", scaled.BLOCK)
    reference = Reference(tmp_path / "plain")
    turns = [{"role": "user", "content": "count from one to twenty"}]
    inputs = reference.tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    check_rounding(found, reference.model, inputs)


@pytest.mark.usefixtures("capable")
def test_images_are_seen_by_a_model_in_fp8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "fp8"
    tiny_vision.quantise(tiny_vision.qwen3_vl(tmp_path / "vl", **BLOCKS), packed, scaled.BLOCK)
    tiny_vision.dequantise(packed, plain, scaled.BLOCK)
    one = ask("what is", RED, max_tokens=1)
    engine, detail = loaded(packed, vision=True, options={"dtype": "float32"})
    assert f"{LAYERS} layers in FP8" in detail
    found = first_logits(Driver(engine), one, monkeypatch)
    engine.close()
    reference = ImageReference(plain)
    check_rounding(found, reference.model, reference.inputs(one))


def check_rounding(found: torch.Tensor, model: Any, inputs: Mapping[str, torch.Tensor]) -> None:
    """``found`` are the logits of ``model``, of dequantised weights, once it rounds what these are
    multiplied by; but for the little that is rounded the other way."""
    with torch.inference_mode():
        plain = model(**inputs).logits[0, -1]
        for name, module in model.named_modules():
            if ".layers." in name and name.endswith("_proj"):
                module.register_forward_pre_hook(lambda _, given: rounded(given[0]))
        expected = model(**inputs).logits[0, -1]
    assert apart(found, expected) < 0.02
    assert apart(found, plain) > 0.04


def rounded(inputs: torch.Tensor) -> torch.Tensor:
    """In float8 and back, with a scale for each token and 128 of its numbers."""
    groups: torch.Tensor = inputs.unflatten(-1, (-1, scaled.BLOCK))  # type: ignore[no-untyped-call]
    scales = groups.abs().amax(-1, keepdim=True) / 448
    return ((groups / scales).to(torch.float8_e4m3fn).float() * scales).flatten(-2)


@pytest.mark.usefixtures("capable")
def test_weights_take_one_byte_in_memory(plain: Path, packed: Path) -> None:
    sizes = []
    for path in (plain, packed):
        engine, _ = loaded(path)
        model = engine.language_model.model
        sizes.append(
            sum(
                tensor.nbytes
                for name, tensor in model.state_dict().items()
                if name.endswith(("_proj.weight", "_proj.scales"))
            )
        )
        assert model.lm_head.weight.dtype == model.dtype == torch.bfloat16
        if path == packed:
            assert {one.weight.dtype for one in layers(engine)} == {torch.float8_e4m3fn}
        engine.close()
    assert 0.5 < sizes[1] / sizes[0] < 0.51


def misplaced(*inputs: Any, **named: Any) -> torch.Tensor:
    """A product that takes the scales of other tokens."""
    inputs = (*inputs[:2], inputs[2].roll(1, 0).t().contiguous().t(), *inputs[3:])
    return scaled.reference(*inputs, **named)


def undefined(*inputs: Any, **named: Any) -> torch.Tensor:
    """A product with something in its last row that is no number."""
    out = scaled.reference(*inputs, **named)
    out[-1, -1] = torch.nan
    return out


def missing(*_: Any, **__: Any) -> torch.Tensor:
    raise NotImplementedError("scaling only supported in CUDA for SM90\nat some line")


@pytest.mark.usefixtures("capable")
@pytest.mark.parametrize(
    ("product", "reason"),
    [
        (misplaced, "computes .* differently"),
        (undefined, "computes .* differently, by nan%"),
        (missing, "on cpu: scaling only .* for SM90$"),
    ],
)
def test_without_a_product_that_is_right_weights_are_dequantised(
    packed: Path,
    product: Callable[..., torch.Tensor],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("worker.engines.torch_chat.fp8.scaled_mm", product)
    refused(packed, reason, caplog)


@pytest.mark.usefixtures("capable")
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"weight_block_size": [32, 32]}, r"blocks are \[32, 32\], not 128 x 128"),
        ({"activation_scheme": "static"}, "static way"),
    ],
)
def test_fp8_of_another_kind_is_dequantised(
    plain: Path,
    tmp_path: Path,
    changed: dict[str, Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    block = changed.get("weight_block_size", [scaled.BLOCK])[0]
    tiny_vision.quantise(plain, tmp_path / "fp8", block)
    file = tmp_path / "fp8" / "config.json"
    config = json.loads(file.read_text())
    config["quantization_config"] |= changed
    file.write_text(json.dumps(config))
    refused(tmp_path / "fp8", reason, caplog)


@pytest.mark.usefixtures("capable")
def test_layers_that_are_no_multiples_of_a_block_are_dequantised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = tiny.qwen3(tmp_path / "small")
    tiny_vision.quantise(small, tmp_path / "fp8")
    file = tmp_path / "fp8" / "config.json"
    file.write_text(file.read_text().replace("[32, 32]", "[128, 128]"))
    refused(tmp_path / "fp8", "a layer has .* weights, not multiples of 128", caplog)


@pytest.mark.parametrize(
    ("name", "scale", "reason"),
    [
        ("model.layers.0.mlp.experts.0.up_proj.weight", "_scale_inv", "experts"),
        ("model.layers.0.mlp.up_proj.weight", "_scale", "other names"),
    ],
)
def test_what_transformers_alone_can_compute_is_named(
    name: str, scale: str, reason: str, tmp_path: Path
) -> None:
    weight = torch.zeros(128, 128).to(torch.float8_e4m3fn)
    save_file({name: weight, name + scale: torch.ones(1, 1)}, tmp_path / "model.safetensors")
    quantised = {"weight_block_size": [128, 128], "activation_scheme": "dynamic"}
    assert reason in obstacle(tmp_path, quantised, torch.bfloat16, torch.device("cpu"))


def refused(path: Path, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """Loading dequantises, says why in a warning, and the model answers."""
    with caplog.at_level(logging.WARNING):
        engine, detail = loaded(path)
    assert "dequantised from FP8 to bfloat16" in detail
    assert not layers(engine)
    (warning,) = [one for one in caplog.records if one.getMessage() == "fp8_dequantised"]
    assert re.search(reason, vars(warning)["reason"])
    one = question()
    driver = Driver(engine)
    driver.run(one)
    assert driver.text(one)
    engine.close()
