"""Chat with images on torch: a Qwen3-VL answers as it does in transformers' own hands."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import OpenAI
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from ipc.messages.blob import Blob
from ipc.messages.errors import ContextTooLong, UndecodableMedia
from ipc.messages.events import ChatResult
from ipc.messages.jobs import ChatInput, Image, Message, Sampling, Text, ToolCall
from tests.contract.chat.torch_chats import first_logits
from tests.contract.checkpoints import tiny, tiny_vision
from tests.contract.checkpoints.tiny_vision import picture
from tests.contract.driver import Driver, chat, job
from tests.contract.served import Server
from tests.contract.vision.torch_images import BLUE, RED, WIDE, ImageReference, ask, asked, spec
from worker.engines.torch_chat.engine import TorchChat
from worker.images import decode
from worker.warmup import warm


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.qwen3_vl(tmp_path_factory.mktemp("qwen3-vl"))


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> ImageReference:
    return ImageReference(checkpoint)


@pytest.fixture
def driver(checkpoint: Path) -> Iterator[Driver]:
    engine = TorchChat()
    engine.load(spec(checkpoint), lambda _: None)
    yield Driver(engine)
    engine.close()


TWO_IMAGES = ("look at", RED, "and then at", BLUE, "what do you like the most of all")


def test_the_answer_to_two_images_within_a_text_is_that_of_generate(
    driver: Driver, reference: ImageReference
) -> None:
    one = ask(*TWO_IMAGES, max_tokens=40)
    driver.run(one)
    assert driver.text(one) == reference.text(one)
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    assert result.usage.prompt_tokens == reference.inputs(one)["input_ids"].shape[1]


def test_the_first_logits_are_those_of_the_model(
    driver: Driver, reference: ImageReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ask(*TWO_IMAGES, max_tokens=1)
    torch.testing.assert_close(
        first_logits(driver, one, monkeypatch), reference.logits(one), atol=1e-4, rtol=1e-4
    )


def test_the_images_and_their_order_matter(reference: ImageReference) -> None:
    """Or else the tests beside this one would prove little."""
    asked = [ask("a", RED, "b", BLUE), ask("a", BLUE, "b", RED), ask("a", RED, "b", WIDE)]
    assert len({reference.text(one) for one in asked}) == 3


def test_images_and_texts_are_answered_side_by_side_as_they_are_alone(
    driver: Driver, reference: ImageReference
) -> None:
    jobs = [
        ask("tell a story about", RED, max_tokens=30),
        ask("count from one to twenty", max_tokens=40),
        ask(WIDE, "what is the name of", BLUE, max_tokens=20),
    ]
    late = ask(BLUE, max_tokens=30)
    driver.admit(*jobs)
    driver.until(lambda: all(driver.deltas(one) for one in jobs))
    driver.admit(late)
    driver.finish(*jobs, late)
    for one in [*jobs, late]:
        assert driver.text(one) == reference.text(one)


def test_images_of_earlier_turns_are_seen(driver: Driver, reference: ImageReference) -> None:
    turns = [
        Message("system", "the quick brown fox"),
        Message("user", [Image(Blob(RED)), Text("what is your name")]),
        Message("assistant", "seven wizards"),
        Message("user", [Text("and now"), Image(Blob(WIDE))]),
    ]
    one = asked(turns, max_tokens=20)
    driver.run(one)
    assert driver.text(one) == reference.text(one)


def test_a_text_that_names_the_place_of_an_image_is_only_text(
    driver: Driver, reference: ImageReference
) -> None:
    plain, tricky = ask("what is", RED), ask(f"what is {tiny_vision.IMAGE_PAD}", RED, "?")
    driver.run(tricky, plain)
    assert driver.result(tricky)
    assert driver.text(plain) == reference.text(plain)


@pytest.mark.parametrize("parts", [("what is",), ("what is", RED)])
def test_the_end_of_a_prompt_is_known_as_a_text(driver: Driver, parts: tuple[str | bytes]) -> None:
    """A template may open the reasoning of the answer there."""
    one = ask(*parts)
    assert isinstance(one.input, ChatInput)
    assert isinstance(driver.engine, TorchChat)
    tail = driver.engine.prompts.lay_out(one.input.messages).tail
    assert tail.endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_calls_and_results_of_a_history_are_in_the_prompt(driver: Driver) -> None:
    """The template writes turns of users and assistants only."""
    call = ToolCall(id="c", name="weather", arguments='{"in": "Rome"}')
    asked = [Message("user", "a"), Message("assistant", "", tool_calls=[call])]
    tool = Message("tool", "18 degrees and sunny", tool_call_id="c", name="weather")
    sampling = Sampling(max_tokens=1, temperature=0.0)
    jobs = [
        job(ChatInput(messages=messages, sampling=sampling))
        for messages in ([asked[0]], asked, [*asked, tool])
    ]
    driver.run(*jobs)
    counts = [driver.result(one).usage.prompt_tokens for one in jobs]
    assert counts[0] + 20 < counts[1] < counts[2] - 10


def test_a_file_that_is_no_image_fails_its_own_request_and_is_named(driver: Driver) -> None:
    good = ask("what is", RED)
    driver.admit(good)
    error = driver.refused(ask(RED, RED[:60]))
    assert isinstance(error, UndecodableMedia)
    assert "image 2" in error.message
    driver.finish(good)
    assert driver.result(good)


def test_an_image_that_is_too_large_is_scaled_down(checkpoint: Path) -> None:
    engine = TorchChat()
    engine.load(spec(checkpoint, options={"image_pixels": 32 * 32 * 9}), lambda _: None)
    small, large = ask(picture(96, 96, "red")), ask(picture(1600, 1600, "red"))
    driver = Driver(engine)
    driver.run(small, large)
    used = [driver.result(one) for one in (small, large)]
    counts = [result.usage for result in used if isinstance(result, ChatResult)]
    assert counts[0].prompt_tokens == counts[1].prompt_tokens
    engine.close()


def test_images_count_towards_the_prompt(checkpoint: Path) -> None:
    engine = TorchChat()
    engine.load(spec(checkpoint, max_prompt_tokens=60), lambda _: None)
    error = Driver(engine).refused(ask(picture(256, 256, "red")))
    assert isinstance(error, ContextTooLong)
    assert "maximum context length is 60 tokens" in error.message
    engine.close()


def test_a_vision_model_warms_up_with_an_image_too(checkpoint: Path) -> None:
    engine = TorchChat()
    engine.load(spec(checkpoint, slots=1), lambda _: None)
    assert warm(engine, spec(checkpoint)) == {"chat-completion": "ok", "vision": "ok"}
    engine.close()


def test_another_architecture_answers_as_generate_does(tmp_path: Path) -> None:
    path = tiny_vision.llava(tmp_path)
    engine = TorchChat()
    engine.load(spec(path), lambda _: None)
    driver = Driver(engine)
    one = ask(*TWO_IMAGES)
    driver.run(one, ask("count from one to twenty"), ask(WIDE, max_tokens=30))
    model: Any = AutoModelForImageTextToText.from_pretrained(path)
    processor: Any = AutoProcessor.from_pretrained(path)  # type: ignore[no-untyped-call]
    parts = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image", "image": decode(part)}
        for part in TWO_IMAGES
    ]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    whole = model.generate(**inputs, max_new_tokens=24, do_sample=False)
    written = whole[0, inputs["input_ids"].shape[1] :]
    assert driver.text(one) == processor.tokenizer.decode(written, skip_special_tokens=True)
    engine.close()


def test_fp8_weights_of_a_text_model_are_dequantised(tmp_path: Path) -> None:
    packed, plain = tmp_path / "fp8", tmp_path / "plain"
    tiny_vision.quantise(tiny.qwen3(tmp_path / "qwen3"), packed)
    tiny_vision.dequantise(packed, plain)
    one, texts = chat("count from one to twenty", max_tokens=40), []
    for path in (packed, plain):
        engine = TorchChat()
        engine.load(spec(path, vision=False), lambda _: None)
        driver = Driver(engine)
        driver.run(one)
        texts.append(driver.text(one))
        engine.close()
    reference: Any = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(plain)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "count from one to twenty"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    whole = reference.generate(**prompt, max_new_tokens=40, do_sample=False)
    written = whole[0, prompt.input_ids.shape[1] :]
    assert texts == [tokenizer.decode(written, skip_special_tokens=True)] * 2


def test_fp8_weights_are_dequantised(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    packed, plain = tmp_path / "fp8", tmp_path / "plain"
    tiny_vision.quantise(checkpoint, packed)
    tiny_vision.dequantise(packed, plain)
    engine = TorchChat()
    told = engine.load(spec(packed), lambda _: None)
    assert "dequantised from FP8 to float32" in told.detail
    assert "fp8_dequantised" in caplog.text
    one = ask(*TWO_IMAGES, max_tokens=1)
    torch.testing.assert_close(
        first_logits(Driver(engine), one, monkeypatch),
        ImageReference(plain).logits(one),
        atol=1e-4,
        rtol=1e-4,
    )
    engine.close()


def data_url(file: bytes) -> str:
    return f"data:application/octet-stream;base64,{base64.b64encode(file).decode()}"


def test_the_official_sdk_sends_two_images_through_a_running_server(
    checkpoint: Path, reference: ImageReference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By all the ways of a model of the user's own: that it sees is read from its files."""
    catalog = tmp_path / "models.yaml"
    catalog.write_text(
        f"models: [{{name: tiny/vl, task: chat, source: 'file:{checkpoint}', device: cpu}}]"
    )
    monkeypatch.setenv("EDGE_SERVE_CONFIG", str(catalog))
    monkeypatch.delenv("MODELS", raising=False)
    content: Any = [
        {"type": "text", "text": "look at"},
        {"type": "image_url", "image_url": {"url": data_url(RED)}},
        {"type": "text", "text": "and then at"},
        {"type": "image_url", "image_url": {"url": data_url(BLUE), "detail": "low"}},
        {"type": "text", "text": "what do you like the most of all"},
    ]
    with tempfile.TemporaryDirectory(prefix="es-") as run_dir:
        server = Server(run_dir)
        try:
            server.wait_ready()
            with OpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
                asked: dict[str, Any] = {
                    "model": "tiny/vl",
                    "messages": [{"role": "user", "content": content}],
                    "max_tokens": 40,
                    "temperature": 0,
                }
                whole = client.chat.completions.create(**asked).choices[0].message.content
                chunks = client.chat.completions.create(**asked, stream=True)
                streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
                capabilities = client.models.retrieve("tiny/vl").to_dict()["capabilities"]
        finally:
            server.process.terminate()
            server.process.wait(timeout=60)
            server.log.unlink()
    assert whole == streamed == reference.text(ask(*TWO_IMAGES, max_tokens=40))
    assert capabilities == ["chat-completion", "vision", "migration"]
