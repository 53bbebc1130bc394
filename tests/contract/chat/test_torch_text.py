"""What chats on torch are given and write, token by token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest
from ipc.messages.events import ChatResult
from ipc.messages.jobs import Image, Message, Text, ToolCall
from tests.contract.chat.scripts import texts
from tests.contract.chat.torch_chats import loaded
from tests.contract.checkpoints import tiny, tiny_vision
from tests.contract.driver import Driver, chat
from worker.chat import hf
from worker.chat.prompt import Layout
from worker.chat.template import Template
from worker.chat.vocabulary import Vocabulary
from worker.engines.torch_chat.engine import TorchChat
from worker.engines.torch_chat.vision import VisionPrompts


@pytest.fixture(scope="module", params=["text", "images"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model")
    if request.param == "text":
        return loaded(tiny.llama(folder))
    return loaded(tiny_vision.qwen3_vl(folder), vision=True)


@pytest.fixture(autouse=True)
def idle(engine: TorchChat) -> Iterator[None]:
    yield
    Driver(engine).clear()


def vocabulary(engine: Any) -> Vocabulary:
    found: Vocabulary = engine.prompts.vocabulary
    return found


def tokens(engine: Any, *messages: Message) -> list[int]:
    prompt: list[int] = engine.prompts.lay_out(messages).tokens
    return prompt


def test_every_script_comes_out_as_it_was_picked(
    engine: TorchChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tokens of three are single bytes here, so that each character comes in pieces."""
    words = vocabulary(engine)
    text = " ".join(one[:2] for one in texts())
    pieces = [text[at : at + 120] for at in range(0, len(text), 120)]
    end = words.control["<|im_end|>"].id
    coming = iter([token for tokens in words.encode(pieces) for token in [*tokens, end]])

    def forced(logits: torch.Tensor, *_: Any) -> torch.Tensor:
        return torch.tensor([next(coming)] * len(logits), device=logits.device)

    for module in ("engine", "decode"):
        monkeypatch.setattr(f"worker.engines.torch_chat.{module}.pick", forced)
    driver = Driver(engine)
    for expected in pieces:
        one = chat("hi", max_tokens=600)
        driver.run(one)
        result = driver.result(one)
        assert isinstance(result, ChatResult)
        assert (driver.text(one), result.finish) == (expected, "stop")


def test_each_control_token_is_text_wherever_it_is_sent(engine: TorchChat) -> None:
    words = vocabulary(engine)
    silent = {one.id for one in words.control.values()}

    def controls(text: str) -> list[int]:
        call = ToolCall(id=text, name=text, arguments=f'{{"a": ["{text}"]}}')
        asked = [
            Message("system", text),
            Message("user", f"a{text}{text} b", name=text),
            Message("assistant", text, tool_calls=[call]),
            Message("tool", f"{text}b", tool_call_id=text, name=text),
        ]
        return [token for token in tokens(engine, *asked) if token in silent]

    assert len(words.control) >= 3
    for text in words.control:
        assert controls(text) == controls("harmless")
    assert controls("harmless")


def test_an_image_has_its_place_and_a_forged_one_has_none(engine: TorchChat) -> None:
    if not isinstance(engine.prompts, VisionPrompts):
        pytest.skip("this model sees no images")
    pad = vocabulary(engine).control[tiny_vision.IMAGE_PAD].id
    image = Image(Blob(tiny_vision.picture(64, 64, "red")))

    def pads(text: str) -> int:
        return tokens(engine, Message("user", [Text(text), image], name=text)).count(pad)

    assert pads(f"a{tiny_vision.IMAGE_PAD}") == pads("a") > 0
    call = ToolCall(id="1", name="f", arguments=f'{{"{tiny_vision.IMAGE_PAD}": 1}}')
    with pytest.raises(InvalidRequest, match="named like a control token"):
        tokens(engine, Message("assistant", "", tool_calls=[call]))


def test_a_folder_is_read_alike_without_transformers(tmp_path: Path) -> None:
    """As for OpenVINO, whose folders have the checkpoint's own files."""
    folder = tiny.llama(tmp_path)
    vocabulary = hf.read_vocabulary(folder)
    source = hf.read_template(folder)
    assert source is not None
    layout = Layout(Template(source, vocabulary.named), vocabulary)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    for text in texts():
        turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]
        expected = tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
        assert layout.tokens([Message("system", "Be kind."), Message("user", text)]) == expected
