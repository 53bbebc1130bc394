"""Chat with images on llama.cpp: a tiny LLaVA with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.messages.blob import Blob
from ipc.messages.errors import ContextTooLong, InvalidRequest, UndecodableMedia
from ipc.messages.events import ChatResult, Usage
from ipc.messages.jobs import ChatInput, Image, Job, Message, Sampling, Text
from ipc.messages.spec import Spec
from tests.contract.checkpoints import tiny_gguf
from tests.contract.checkpoints.tiny_gguf import TOKENS_OF_AN_IMAGE
from tests.contract.checkpoints.tiny_vision import picture
from tests.contract.driver import Driver, chat, job
from tests.contract.subjects import SMOLLM2, real_model
from worker.engine import LoadError
from worker.engines.llama_cpp.engine import LlamaChat
from worker.engines.llama_cpp.vision import VisionLayout

RED, BLUE = picture(64, 64, "red"), picture(300, 100, "blue", "JPEG")


def loaded(path: Path, **changed: Any) -> LlamaChat:
    values: dict[str, Any] = {
        "name": "llava",
        "task": "chat",
        "engine": "llama.cpp",
        "path": str(path),
        "threads": 1,
        "slots": 3,
        "max_prompt_tokens": 200,
        "max_new_tokens": 100,
        "vision": True,
        "options": {"prefix_caching": False},
    }
    engine = LlamaChat()
    engine.load(Spec(**values | changed), lambda _: None)
    return engine


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    like = real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf")
    return tiny_gguf.llava(tmp_path_factory.mktemp("llava"), like)


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Iterator[LlamaChat]:
    engine = loaded(checkpoint)
    yield engine
    engine.close()


@pytest.fixture
def driver(engine: LlamaChat) -> Iterator[Driver]:
    driver = Driver(engine)
    yield driver
    driver.clear()


def ask(*parts: str | bytes, max_tokens: int = 8, **sampling: Any) -> Job:
    """A user's turn of texts and images."""
    content = [Text(part) if isinstance(part, str) else Image(Blob(part)) for part in parts]
    asked = Sampling(max_tokens=max_tokens, temperature=0.0, ignore_eos=True, **sampling)
    return job(ChatInput(messages=[Message("user", content)], sampling=asked))


def answer(driver: Driver, one: Job) -> str:
    driver.run(one)
    usage(driver, one)
    return driver.text(one)


def usage(driver: Driver, one: Job) -> Usage:
    found = driver.result(one)
    assert isinstance(found, ChatResult)
    return found.usage


def test_an_answer_is_to_what_the_image_shows(driver: Driver) -> None:
    seen = answer(driver, ask(RED, "What is this?"))
    assert answer(driver, ask(RED, "What is this?")) == seen
    assert answer(driver, ask(BLUE, "What is this?")) != seen
    assert answer(driver, ask("What is this?")) != seen


def test_where_an_image_stands_in_the_text_matters(driver: Driver) -> None:
    before = answer(driver, ask(RED, "What is this?"))
    assert answer(driver, ask("What is this?", RED)) != before
    assert answer(driver, ask(RED, BLUE, "a")) != answer(driver, ask(BLUE, RED, "a"))


@pytest.mark.parametrize("images", [1, 3])
def test_images_are_counted_as_the_library_counts_them(
    driver: Driver, engine: LlamaChat, images: int
) -> None:
    one = ask("look at", *[RED, BLUE, RED][:images], "and 👩🏽\u200d🚀 tell me")
    assert isinstance(one.input, ChatInput)
    layout = engine.prompts
    assert isinstance(layout, VisionLayout)
    prompt = layout.lay_out(one.input.messages)
    body = msgspec.to_builtins({"prompt": dict(prompt.images), "n_predict": 1})
    said = msgspec.json.decode(layout._place.ask("/completion", body)[1])
    driver.run(one)
    assert usage(driver, one).prompt_tokens == said["tokens_evaluated"] == len(prompt.tokens)
    assert sum(token < 0 for token in prompt.tokens) == images * TOKENS_OF_AN_IMAGE


def test_images_that_do_not_fit_are_refused_before_they_are_read(driver: Driver) -> None:
    error = driver.refused(ask(*[RED] * 13, "What is this?"))
    assert isinstance(error, ContextTooLong)


def test_what_is_no_image_is_named(driver: Driver) -> None:
    error = driver.refused(ask(RED, b"GIF89a", "What is this?"))
    assert isinstance(error, UndecodableMedia)
    assert error.message.startswith("image 2")


@pytest.mark.parametrize("text", ["<|im_end|>", "a <|im_start|>system", "<|im_", "<__media__>"])
def test_a_control_token_is_never_forged_beside_an_image(driver: Driver, text: str) -> None:
    """Nor is a place for an image. Without images any text may be sent."""
    driver.run(ask(text))
    plain = ask(RED, "q")
    driver.run(plain)
    if text.count("|") < 2:
        driver.run(ask(RED, text))
        return
    error = driver.refused(ask(RED, text))
    assert isinstance(error, InvalidRequest)
    assert "names a control token" in error.message


def test_a_text_that_only_beside_an_image_is_a_control_token_is_none(driver: Driver) -> None:
    one = ask("<|im_", RED, "end|>")
    driver.run(one)
    assert usage(driver, one).prompt_tokens > TOKENS_OF_AN_IMAGE


def test_texts_have_all_that_they_have_without_images(driver: Driver) -> None:
    one = chat("Say 🎉 <|im_end|>.", max_tokens=6, logprobs=2, ignore_eos=True)
    driver.run(one)
    told = [each for delta in driver.deltas(one) for each in delta.logprobs or []]
    assert b"".join(each.data for each in told).decode() == driver.text(one)
    assert usage(driver, one).completion_tokens == 6
    whole = answer(driver, chat("Tell me.", max_tokens=12, ignore_eos=True))
    stop = whole[len(whole) // 2 :][:3]
    cut = chat("Tell me.", max_tokens=12, ignore_eos=True, stop=[stop])
    assert answer(driver, cut) == whole[: whole.index(stop)]


def test_a_seen_prompt_is_not_read_again(checkpoint: Path) -> None:
    engine = loaded(checkpoint, options={"prefix_caching": True})
    driver = Driver(engine)
    first, again = ask(RED, "What is this?"), ask(RED, "What is this?")
    driver.run(first)
    driver.run(again)
    assert usage(driver, first).cached_tokens == 0
    assert usage(driver, again).cached_tokens == usage(driver, again).prompt_tokens - 1
    assert driver.text(first) == driver.text(again)
    engine.close()


def test_a_dropped_answer_to_an_image_leaves(driver: Driver) -> None:
    gone = ask(RED, "Tell me.", max_tokens=100)
    driver.admit(gone)
    driver.until(lambda: bool(driver.deltas(gone)))
    driver.engine.drop(gone.id)
    together = [ask(RED, f"Tell me {at}.", max_tokens=20) for at in range(3)]
    driver.run(*together)
    assert not driver.ended(gone)
    assert [usage(driver, one).completion_tokens for one in together] == [20, 20, 20]


def test_without_the_file_that_reads_images_it_is_not_loaded(
    checkpoint: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "model.gguf"
    alone.symlink_to(checkpoint)
    with pytest.raises(LoadError, match=r"is no mmproj\*\.gguf, by which images are read"):
        loaded(alone)
    with pytest.raises(LoadError, match=r"options\.mmproj: .*gone\.gguf does not exist"):
        loaded(alone, options={"mmproj": str(tmp_path / "gone.gguf")})
    named = loaded(alone, options={"mmproj": str(checkpoint.with_name("mmproj-model.gguf"))})
    driver = Driver(named)
    driver.run(ask(RED, "What is this?", max_tokens=1))
    named.close()


def test_a_damaged_file_for_images_is_named(checkpoint: Path, tmp_path: Path) -> None:
    cut = tmp_path / "mmproj.gguf"
    cut.write_bytes(checkpoint.with_name("mmproj-model.gguf").read_bytes()[:50_000])
    with pytest.raises(LoadError, match=r"llama\.cpp cannot load"):
        loaded(checkpoint, options={"mmproj": str(cut)})
