"""What a repository holds: literal files and configurations in, a model or a reason out."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.discovery.gguf_forms import forms
from supervisor.discovery.recognise import Recognised, recognise
from supervisor.discovery.repository import Repository
from supervisor.models.archive import FetchError

CHAT = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
BERT = {"architectures": ["BertModel"], "model_type": "bert"}
TOKENIZER = ("config.json", "tokenizer.json", "tokenizer_config.json")


def repository(*files: str, **changes: Any) -> Repository:
    return Repository(repo="acme/one", files=dict.fromkeys(files, 100), **changes)


def names(found: Recognised) -> list[str]:
    return [form.name for form in found.forms]


# --- tasks ----------------------------------------------------------------------------------------

TASKS = [
    (repository("model.safetensors", *TOKENIZER, config=CHAT), "chat", "safetensors"),
    (repository("one-Q8_0.gguf"), "chat", "gguf"),
    (
        repository("openvino_model.xml", "openvino_model.bin", "config.json", config=CHAT),
        "chat",
        "openvino",
    ),
    (
        repository("model.safetensors", "modules.json", *TOKENIZER, config=BERT),
        "embed",
        "safetensors",
    ),
    (repository("model.safetensors", *TOKENIZER, config=BERT), "embed", "safetensors"),
    (
        repository(
            "model.safetensors",
            *TOKENIZER,
            config={
                "architectures": ["XLMRobertaForSequenceClassification"],
                "id2label": {"0": "LABEL_0"},
            },
        ),
        "rerank",
        "safetensors",
    ),
    (
        repository(
            "model.safetensors",
            *TOKENIZER,
            config={"architectures": ["WhisperForConditionalGeneration"]},
        ),
        "speech",
        "safetensors",
    ),
    (
        repository(
            "model.bin", "config.json", "vocabulary.txt", config={"alignment_heads": [[1, 2]]}
        ),
        "speech",
        "ctranslate2",
    ),
]


@pytest.mark.parametrize(("found", "task", "form"), TASKS)
def test_files_and_configuration_tell_the_task(found: Repository, task: str, form: str) -> None:
    model = recognise(found)
    assert (model.task, model.forms[0].format) == (task, form)


def test_a_checkpoint_with_weights_for_images_sees() -> None:
    config = {"architectures": ["Qwen3VLForConditionalGeneration"], "vision_config": {}}
    model = recognise(repository("model.safetensors", *TOKENIZER, config=config))
    assert (model.task, model.vision) == ("chat", True)


def test_weights_in_a_pickle_that_can_be_rewritten_are_a_checkpoint() -> None:
    model = recognise(repository("pytorch_model.bin", *TOKENIZER, config=BERT))
    assert model.forms[0].format == "pickle"
    assert "pytorch_model.bin" in model.forms[0].files


def test_the_same_weights_in_one_more_file_are_left_out() -> None:
    model = recognise(
        repository(
            "consolidated.safetensors", "model-00001-of-00002.safetensors", *TOKENIZER, config=CHAT
        )
    )
    assert "consolidated.safetensors" not in model.forms[0].files
    assert model.forms[0].include is not None


def test_a_model_without_a_template_is_said_to_have_none() -> None:
    bare = repository("model.safetensors", *TOKENIZER, config=CHAT)
    assert "no chat template" in recognise(bare).remarks[0]
    made = repository("model.safetensors", *TOKENIZER, config=CHAT, has_template=True)
    assert recognise(made).remarks == []


# --- GGUF -----------------------------------------------------------------------------------------


def test_precisions_come_best_first_and_those_that_gain_nothing_are_left_out() -> None:
    found = repository("one-BF16.gguf", "one-Q4_K_M.gguf", "one-Q8_0.gguf", "one-Q2_K.gguf")
    assert names(recognise(found)) == ["Q8_0", "Q4_K_M", "Q2_K"]


def test_they_are_taken_where_there_is_nothing_else() -> None:
    assert names(recognise(repository("one-f16.gguf"))) == ["F16"]


@pytest.mark.parametrize("wanted", ["Q4_K_M", "q4_k_m", "one.Q4_K_M.gguf"])
def test_one_may_be_asked_for(wanted: str) -> None:
    found = repository("one.Q4_K_M.gguf", "one.Q8_0.gguf")
    assert [form.path for form in recognise(found, wanted).forms] == ["one.Q4_K_M.gguf"]


def test_another_than_there_is_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(FetchError, match=r"hf:acme/one has no Q5_0; it has Q8_0, Q4_0"):
        recognise(repository("one-Q4_0.gguf", "one-Q8_0.gguf"), "Q5_0")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Qwen3-0.6B-UD-Q4_K_XL.gguf", "Q4_K_XL"),
        ("smollm2.IQ3_XXS.gguf", "IQ3_XXS"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("Q8_0/one-Q8_0.gguf", "Q8_0"),
        ("one-bf16.gguf", "BF16"),
        ("ggml-model.gguf", "ggml-model"),
    ],
)
def test_the_name_of_a_file_tells_its_precision(file: str, name: str) -> None:
    assert forms([file])[0].name == name


def test_parts_of_a_file_are_no_model() -> None:
    with pytest.raises(FetchError, match="models in several GGUF files are not served"):
        recognise(repository("one-Q8_0-00001-of-00002.gguf", "one-Q8_0-00002-of-00002.gguf"))


def test_two_models_in_a_repository_need_a_word_about_which() -> None:
    with pytest.raises(FetchError, match="holds several models; name a file after a colon"):
        recognise(repository("one-Q8_0.gguf", "two-Q8_0.gguf"))


def test_the_part_that_sees_comes_along_in_sixteen_bits() -> None:
    model = recognise(repository("one-Q8_0.gguf", "mmproj-F32.gguf", "mmproj-F16.gguf"))
    assert model.vision
    assert model.forms[0].files == ("one-Q8_0.gguf", "mmproj-F16.gguf")


def test_of_both_gguf_is_taken_on_a_cpu_and_the_checkpoint_on_a_gpu() -> None:
    found = repository("one-Q8_0.gguf", "model.safetensors", *TOKENIZER, config=CHAT)
    assert recognise(found).forms[0].format == "gguf"
    assert recognise(found, on_cpu=False).forms[0].format == "safetensors"
    assert recognise(found, "Q8_0", on_cpu=False).forms[0].format == "gguf"


def test_an_embedding_model_is_not_taken_for_a_chat_because_of_a_gguf_file() -> None:
    found = repository("one-Q8_0.gguf", "model.safetensors", *TOKENIZER, config=BERT)
    assert recognise(found).task == "embed"


# --- ONNX -----------------------------------------------------------------------------------------

PARAKEET = repository(
    *("encoder-model.onnx", "encoder-model.onnx.data", "decoder_joint-model.onnx"),
    *("encoder-model.int8.onnx", "decoder_joint-model.int8.onnx", "encoder-model.fp16.onnx"),
    *("decoder_joint-model.fp16.onnx", "nemo128.onnx", "vocab.txt", "config.json"),
    config={"model_type": "nemo-conformer-tdt"},
)
GIGAAM = repository(
    *("v3_ctc.int8.onnx", "v3_vocab.txt", "v3_e2e_ctc.int8.onnx", "v3_e2e_ctc.onnx"),
    *("v3_e2e_ctc_vocab.txt", "config.json"),
    config={"version": "v3"},
)


def test_speech_in_onnx_comes_in_eight_bits_first_on_a_cpu() -> None:
    model = recognise(PARAKEET)
    assert (model.task, model.forms[0].format) == ("speech", "onnx")
    assert names(model) == ["int8", "f32"]
    assert model.forms[0].include == (
        *("decoder_joint-model.int8.onnx", "encoder-model.int8.onnx", "config.json", "vocab.txt"),
    )
    assert names(recognise(PARAKEET, on_cpu=False)) == ["f32", "int8"]


def test_another_precision_has_to_be_named() -> None:
    assert names(recognise(PARAKEET, "fp16")) == ["fp16"]
    with pytest.raises(FetchError, match="has no q4; it has nemo-conformer-tdt-f32"):
        recognise(PARAKEET, "q4")


@pytest.mark.parametrize(
    ("wanted", "forms"),
    [
        ("gigaam-v3-e2e-ctc", ["int8", "f32"]),
        ("gigaam-v3-e2e-ctc-f32", ["f32"]),
        ("gigaam-v3-ctc", ["int8"]),
    ],
)
def test_of_several_models_one_is_named(wanted: str, forms: list[str]) -> None:
    assert names(recognise(GIGAAM, wanted)) == forms


def test_without_a_name_they_are_listed() -> None:
    with pytest.raises(FetchError, match="name one after a colon, say of gigaam-v3-ctc-int8, giga"):
        recognise(GIGAAM)


def test_a_checkpoint_goes_before_its_export() -> None:
    config = {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}
    exported = ("encoder_model.onnx", "decoder_model_merged.onnx", "vocab.json")
    found = repository("model.safetensors", *exported, "added_tokens.json", config=config)
    assert recognise(found).forms[0].format == "safetensors"


# --- what is refused ------------------------------------------------------------------------------

REFUSED: list[tuple[Repository, str]] = [
    (repository("model.pt"), "only as model.pt, which may be a pickle, a program that runs"),
    (repository("model.ckpt", *TOKENIZER, config=CHAT), "may be a pickle"),
    (repository("onnx/model.onnx", *TOKENIZER, config=CHAT), "only in ONNX, which no engine here"),
    (repository("README.md"), "has no weights that an engine here reads"),
    (
        repository(
            "model.safetensors",
            *TOKENIZER,
            config={
                "architectures": ["BertForSequenceClassification"],
                "id2label": {"0": "a", "1": "b", "2": "c"},
            },
        ),
        "a classifier of 3 labels",
    ),
    (
        repository(
            "model.safetensors",
            *TOKENIZER,
            config={"architectures": ["T5ForConditionalGeneration"]},
        ),
        "is a T5ForConditionalGeneration, which no engine here serves",
    ),
    (
        repository(
            "model.safetensors",
            *TOKENIZER,
            config={**CHAT, "quantization_config": {"quant_method": "awq"}},
        ),
        "packed by awq, which no engine here reads",
    ),
]


@pytest.mark.parametrize(("found", "why"), REFUSED)
def test_what_cannot_be_served_is_refused_by_words(found: Repository, why: str) -> None:
    with pytest.raises(FetchError, match=why):
        recognise(found)


def test_a_variant_of_what_has_none_is_refused() -> None:
    with pytest.raises(FetchError, match="has no Q8_0: it comes in one form"):
        recognise(repository("model.safetensors", *TOKENIZER, config=CHAT), "Q8_0")
