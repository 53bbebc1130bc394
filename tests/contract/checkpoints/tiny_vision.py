"""Tiny image-text models with random weights, laid out as their publishers lay them out."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch
from PIL import Image as Picture
from PIL import ImageDraw
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from tests.contract.checkpoints import tiny

VOCABULARY = 528
MARKS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
IMAGE_PAD = "<|image_pad|>"
IMAGE = "<image>"

# The part of Qwen3-VL's own template that is not about tools.
TEMPLATE = """\
{%- set image_count = namespace(value=0) %}
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].content is string %}
        {{- messages[0].content }}
    {%- else %}
        {%- for content in messages[0].content %}
            {%- if 'text' in content %}
                {{- content.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "user" or message.role == "assistant" %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if message.content is string %}
            {{- message.content }}
        {%- else %}
            {%- for content in message.content %}
                {%- if content.type == 'image' or 'image' in content or 'image_url' in content %}
                    {%- set image_count.value = image_count.value + 1 %}
                    {{- '<|vision_start|><|image_pad|><|vision_end|>' }}
                {%- elif 'text' in content %}
                    {{- content.text }}
                {%- endif %}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def qwen3_vl(folder: Path, **shape: int) -> Path:
    """A Qwen3-VL with three layers for text and two for images, each of 4 tokens or more."""
    tokenizer = tiny.make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(20)
    model = Qwen3VLForConditionalGeneration(_config(tokenizer, shape)).float().eval()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        model.lm_head.weight[tiny.unprintable(tokenizer, VOCABULARY)] = 0
        # Random vision layers leave hardly a trace in what follows; these must matter.
        for merger in [model.model.visual.merger, *model.model.visual.deepstack_merger_list]:
            merger.linear_fc2.weight *= 20
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(
        ["<|im_end|>", "<|endoftext|>"]
    )
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _save_processors(folder)
    return folder


def llava(folder: Path) -> Path:
    """A Llava: another processor, images of one size, positions without a shift."""
    tokenizer = tiny.make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    template = TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", IMAGE)
    sees = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        initializer_range=0.3,
    )
    config = LlavaConfig(
        vision_config=sees.to_dict(),
        text_config=LlamaConfig(**tiny.SHAPE | {"vocab_size": VOCABULARY}).to_dict(),
        image_token_index=tokenizer.vocab[IMAGE],
        vision_feature_layer=-1,
    )
    torch.manual_seed(20)
    LlavaForConditionalGeneration(config).float().save_pretrained(folder)  # type: ignore[no-untyped-call]
    LlavaProcessor(  # type: ignore[no-untyped-call]
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=template,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


def _config(tokenizer: object, changed: dict[str, int]) -> Qwen3VLConfig:
    ids = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in MARKS}  # type: ignore[attr-defined]
    rope = {"mrope_interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default"}
    shape = {key: value for key, value in tiny.SHAPE.items() if key != "tie_word_embeddings"}
    shape |= changed
    return Qwen3VLConfig(
        text_config={
            **shape,
            "vocab_size": VOCABULARY,
            "rope_parameters": {**rope, "rope_theta": 5_000_000.0},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": shape["hidden_size"],
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
            "initializer_range": 0.3,
        },
        image_token_id=ids[IMAGE_PAD],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )


def _save_processors(folder: Path) -> None:
    """The two files as Qwen publishes them, but for smaller images."""
    shared = {
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "Qwen3VLProcessor",
    }
    image = {
        "size": {"longest_edge": 262_144, "shortest_edge": 4096},
        "image_processor_type": "Qwen2VLImageProcessorFast",
    }
    video = {
        "size": {"longest_edge": 262_144, "shortest_edge": 4096},
        "video_processor_type": "Qwen3VLVideoProcessor",
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(shared | image))
    (folder / "video_preprocessor_config.json").write_text(json.dumps(shared | video))


def picture(width: int, height: int, colour: str, kind: str = "PNG") -> bytes:
    """An image file: a disc of ``colour``, larger to the right."""
    image = Picture.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).ellipse((width // 4, 2, width - 2, height - 2), fill=colour)
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def quantise(folder: Path, target: Path, block: int = 32) -> None:
    """Write the checkpoint in ``folder`` to ``target`` as Qwen's FP8 repositories hold theirs:
    linear layers of the text model in float8 with one scale for each ``block`` x ``block``."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    tensors = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        if ".layers." in name and name.endswith("_proj.weight"):
            rows, columns = weight.shape
            blocks = weight.reshape(rows // block, block, columns // block, block)
            scale = blocks.abs().amax(dim=(1, 3)) / torch.finfo(torch.float8_e4m3fn).max
            scale = scale.bfloat16()
            packed = (blocks / scale[:, None, :, None]).reshape(rows, columns)
            tensors[name] = packed.to(torch.float8_e4m3fn)
            tensors[f"{name}_scale_inv"] = scale
        else:
            tensors[name] = weight
    save_file(tensors, target / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": [block, block],
        "modules_to_not_convert": ["lm_head", "model.visual"],
    }
    (target / "config.json").write_text(json.dumps(config))


def dequantise(folder: Path, target: Path, block: int = 32) -> None:
    """Write the FP8 checkpoint in ``folder`` to ``target`` in float32, scales multiplied in."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.endswith("_scale_inv")]:
        scale = tensors.pop(name).repeat_interleave(block, 0).repeat_interleave(block, 1)
        weight = name.removesuffix("_scale_inv")
        tensors[weight] = tensors[weight].float() * scale
    save_file(tensors, target / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (target / "config.json").write_text(json.dumps(config))
