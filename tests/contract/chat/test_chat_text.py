"""Every engine's real tokens: what is written comes out whole, and what is sent stays text.

A model is made to write a text by a grammar that allows nothing else, so the tokens are those that
it would choose, and characters are cut wherever they can be.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.messages.events import ChatResult
from ipc.messages.jobs import ChatInput, Job, Message, Sampling, ToolCall
from ipc.messages.spec import Spec
from tests.contract.chat.scripts import EMOJI, SIGNS, scripts, texts
from tests.contract.driver import Driver, chat, job
from tests.contract.subjects import SMOLLM2, real_model
from worker.chat.gguf import read_tokenizer
from worker.chat.text import TextStream
from worker.chat.vocabulary import Vocabulary
from worker.engine import Engine
from worker.engines import make

# What answers write: two letters of each script, forty scripts an answer.
LETTERS = [text[:: max(1, len(text) - 1)][:2] for text in scripts().values()]
ANSWERS = [
    *("".join(LETTERS[at : at + 40]) for at in range(0, len(LETTERS), 40)),
    " ".join(EMOJI),
    " ".join(SIGNS[:5]),
]


@pytest.fixture(scope="module")
def gguf() -> Path:
    return real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf")


def _loaded(name: str, gguf: Path, scratch: Path) -> Engine:
    spec = Spec(
        name="smollm2",
        task="chat",
        engine=name,
        path=str(gguf),
        cache=str(scratch),
        threads=1,
        slots=2,
        options={"prefix_caching": False},
    )
    engine = make(spec)
    engine.load(spec, lambda _: None)
    return engine


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=["openvino", "llama.cpp"])
def engine(request: pytest.FixtureRequest, gguf: Path, scratch: Path) -> Iterator[Engine]:
    engine = _loaded(request.param, gguf, scratch)
    yield engine
    engine.close()


@pytest.fixture
def driver(engine: Engine) -> Iterator[Driver]:
    driver = Driver(engine)
    yield driver
    driver.clear()


@pytest.fixture
def write(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    """Has the model write a text and nothing else; returns the job that did."""

    def written(text: str, **sampling: Any) -> Job:
        force(monkeypatch, text)
        one = chat("Write.", max_tokens=1500, **sampling)
        driver.run(one)
        return one

    return written


def force(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    from worker.engines.llama_cpp import engine as llama_chat
    from worker.engines.llama_cpp import request
    from worker.engines.openvino_chat import engine as openvino_chat

    spelled = "".join(f"\\U{ord(character):08X}" for character in text)
    generation, body = openvino_chat._generation, request.request_body

    def generation_of(*arguments: Any) -> Any:
        import openvino_genai as genai

        config = generation(*arguments)
        literal = msgspec.json.encode(text).decode()
        config.structured_output_config = genai.StructuredOutputConfig(
            grammar=f"root ::= {literal}"
        )
        return config

    def body_of(*arguments: Any, **named: Any) -> bytes:
        asked = msgspec.json.decode(body(*arguments, **named))
        return msgspec.json.encode(asked | {"grammar": f'root ::= "{spelled}"'})

    monkeypatch.setattr(openvino_chat, "_generation", generation_of)
    monkeypatch.setattr(llama_chat, "request_body", body_of)


@pytest.mark.parametrize("text", ANSWERS, ids=lambda text: text[:4])
def test_every_script_comes_out_as_it_was_written(
    driver: Driver, write: Callable[..., Job], text: str
) -> None:
    one = write(text)
    assert driver.text(one) == text
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    assert result.finish == "stop"
    assert sum(delta.tokens for delta in driver.deltas(one)) in (
        result.usage.completion_tokens,
        result.usage.completion_tokens - 1,  # the one that ends it
    )
    assert all(delta.text for delta in driver.deltas(one))


@pytest.mark.parametrize("stop", ["🎉🚀", "漢", "👩🏽\u200d🚀", "∞ ≈"])
def test_stop_texts_of_many_tokens_end_an_answer(
    driver: Driver, write: Callable[..., Job], stop: str
) -> None:
    before = "🎉 漫 👩🏽\u200d ∞"
    one = write(f"{before}{stop} and more", stop=["never", stop])
    assert driver.text(one) == before
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    assert result.finish == "stop"


def test_each_control_token_of_the_model_is_text_wherever_it_is_sent(
    driver: Driver, gguf: Path
) -> None:
    """As text it takes several tokens, as a control token one: the counts tell."""
    control = read_tokenizer(gguf).control
    assert len(control) == 17

    def prompt_tokens(text: str) -> int:
        call = ToolCall(id=text, name=text, arguments=msgspec.json.encode({text: text}).decode())
        messages = [
            Message("system", text),
            Message("user", f"{text}{text}", name=text),
            Message("assistant", f"a{text}", tool_calls=[call]),
            Message("tool", f"{text}b", tool_call_id=text, name=text),
        ]
        one = job(ChatInput(messages=messages, sampling=Sampling(max_tokens=1)))
        driver.run(one)
        result = driver.result(one)
        assert isinstance(result, ChatResult)
        return result.usage.prompt_tokens

    harmless = prompt_tokens("q")  # a token wherever it stands, as each of those would be
    for text in control:
        assert prompt_tokens(text) > harmless + 7


def test_the_prompt_has_no_control_tokens_but_the_templates(gguf: Path, scratch: Path) -> None:
    engine: Any = _loaded("openvino", gguf, scratch)
    silent = {one.id for one in engine.prompts.vocabulary.control.values()}

    def controls(text: str) -> list[int]:
        asked = [Message("user", text), Message("tool", f"a{text} b", name=text)]
        return [token for token in engine.prompts.lay_out(asked).tokens if token in silent]

    for text in engine.prompts.vocabulary.control:
        assert controls(text) == controls("harmless")
    engine.close()


def test_benign_texts_have_the_librarys_own_tokens(gguf: Path, scratch: Path) -> None:
    """The tokens that OpenVINO's tokenizer, as it was converted, makes of the whole prompt."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from ipc.facts.gguf import read_facts

    engine: Any = _loaded("openvino", gguf, scratch)
    keys = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges")
    tokens, merges = (read_facts(gguf, set(keys))[key] for key in keys)
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    independent = Tokenizer(models.BPE({text: at for at, text in enumerate(tokens)}, pairs))
    independent.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    for text in [
        *texts(),
        "It isn't the one , is it ? No !\n\n  a .",
        "x = 12345;\n\treturn\n\n\n",
    ]:
        assert engine.prompts.vocabulary.encode([text]) == [independent.encode(text).ids], text
    engine.close()


@pytest.mark.parametrize("seed", range(3))
def test_text_is_right_at_every_split(gguf: Path, seed: int) -> None:
    """Any tokens whose bytes are a text make that text, however they cut its characters."""
    found = read_tokenizer(gguf)
    vocabulary = found.vocabulary(lambda _: [])
    silent = {one.id for one in found.control.values()}
    by_bytes = {piece: at for at, piece in enumerate(found.pieces) if at not in silent}
    draw = random.Random(seed)
    for text in texts():
        data, tokens, at = text.encode(), [], 0
        while at < len(data):
            ends = [n for n in range(1, 12) if data[at : at + n] in by_bytes]
            length = ends[0] if seed == 0 else draw.choice(ends)
            tokens.append(by_bytes[data[at : at + length]])
            at += length
        assert written(vocabulary, tokens) == text


def written(vocabulary: Vocabulary, tokens: list[int]) -> str:
    stream = TextStream(vocabulary)
    return "".join([*map(stream.push, tokens), stream.finish()])
