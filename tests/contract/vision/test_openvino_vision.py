"""Chat with images on OpenVINO: an exported Qwen3-VL answers as it does in transformers' own hands.

Their resizing of images rounds differently, so those here have sides that need none.
"""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai as genai
import pytest
from openai import OpenAI

from ipc.messages.blob import Blob
from ipc.messages.errors import ContextTooLong, InvalidRequest, UndecodableMedia
from ipc.messages.events import ChatResult, Usage
from ipc.messages.jobs import ChatInput, Image, Job, Json, Message, Sampling, Text, Tokens
from ipc.messages.spec import Spec
from tests.contract.checkpoints import exported_vision
from tests.contract.checkpoints.tiny_vision import picture
from tests.contract.driver import Driver, job
from tests.contract.served import Server
from tests.contract.vision import torch_images
from tests.contract.vision.torch_images import ImageReference, ask, asked
from worker.engine import LoadError
from worker.engines.openvino_chat.engine import OpenvinoChat
from worker.engines.openvino_chat.vision import MARKS, ImageSize
from worker.images import decode
from worker.warmup import warm

RED, BLUE, WIDE = (
    picture(64, 64, "red"),
    picture(96, 160, "blue"),
    picture(192, 64, "green"),
)
TWO_IMAGES = ("look at", RED, "and then at", BLUE, "what do you like the most of all")


def spec(path: Path, **changed: Any) -> Spec:
    values: dict[str, Any] = {"engine": "openvino", "device": "cpu", "slots": 4, "options": {}}
    return torch_images.spec(path, **values | changed)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return exported_vision.unpack(tmp_path_factory.mktemp("qwen3-vl"))


@pytest.fixture(scope="module")
def reference(folders: tuple[Path, Path]) -> ImageReference:
    return ImageReference(folders[0])


@pytest.fixture(scope="module")
def exported(folders: tuple[Path, Path]) -> Path:
    return folders[1]


@pytest.fixture(scope="module")
def engine(exported: Path) -> Iterator[OpenvinoChat]:
    engine = OpenvinoChat()
    engine.load(spec(exported), lambda _: None)
    yield engine
    engine.close()


@pytest.fixture
def driver(engine: OpenvinoChat) -> Iterator[Driver]:
    driver = Driver(engine)
    yield driver
    driver.clear()


def usage(driver: Driver, one: Job) -> Usage:
    found = driver.result(one)
    assert isinstance(found, ChatResult)
    return found.usage


def test_the_answer_to_two_images_within_a_text_is_that_of_generate(
    driver: Driver, reference: ImageReference
) -> None:
    one = ask(*TWO_IMAGES, max_tokens=40)
    driver.run(one)
    assert driver.text(one) == reference.text(one)
    assert usage(driver, one).prompt_tokens == reference.inputs(one)["input_ids"].shape[1]


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


@pytest.mark.parametrize("options", [{"prefix_caching": False}, {"image_pixels": 64 * 64}])
def test_what_was_seen_before_changes_nothing(
    exported: Path, reference: ImageReference, options: dict[str, Any]
) -> None:
    engine = OpenvinoChat()
    engine.load(spec(exported, options=options), lambda _: None)
    driver = Driver(engine)
    same = [ask("what is", RED), ask("what is", RED), ask("what is", picture(64, 64, "blue"))]
    for one in same:
        driver.run(one)
        assert driver.text(one) == reference.text(one)
    engine.close()


@pytest.mark.parametrize("text", [*MARKS, "".join(MARKS[:3]), "<ov_genai_image_0>", "1f;"])
def test_a_text_that_names_the_place_of_an_image_is_only_text(
    driver: Driver, reference: ImageReference, text: str
) -> None:
    plain, tricky = ask("what is", RED), ask(f"what is {text}", RED, "?")
    driver.run(tricky, plain, ask(text))
    spelled = usage(driver, tricky).prompt_tokens - usage(driver, plain).prompt_tokens
    assert spelled >= 3
    assert driver.text(plain) == reference.text(plain)


@pytest.mark.parametrize("mark", MARKS)
def test_tokens_that_name_the_place_of_an_image_are_refused(
    driver: Driver, engine: OpenvinoChat, mark: str
) -> None:
    place = engine.prompts.vocabulary.control[mark].id
    running = ask("what is", RED)
    driver.admit(running)
    raw = ChatInput(prompts=[Tokens(ids=[5, place, 6])], sampling=Sampling(max_tokens=4))
    error = driver.refused(job(raw))
    assert isinstance(error, InvalidRequest)
    assert "the place of an image" in error.message
    driver.finish(running)


@pytest.mark.parametrize("size", [(8, 800), (33, 70), (100, 500), (512, 512), (700, 400)])
def test_images_are_counted_as_the_library_counts_them(
    exported: Path, size: tuple[int, int]
) -> None:
    """It takes a prompt only if that is shorter than the longest answer."""
    pipeline, config = _bare(exported), genai.GenerationConfig()
    config.apply_chat_template = False
    pixels = openvino.Tensor(np.asarray(decode(picture(*size, "red")))[None])
    text = "".join(MARKS[:3])
    tokens = 2 + ImageSize.read(exported).tokens(size[1], size[0])
    config.max_length = tokens
    with pytest.raises(RuntimeError, match="greater than the number of prompt tokens"):
        pipeline.add_request(0, text, [pixels], config)
    config.max_length = tokens + 1
    pipeline.add_request(1, text, [pixels], config).cancel()
    pipeline.step()


def _bare(exported: Path) -> Any:
    scheduling = genai.SchedulerConfig()
    scheduling.num_kv_blocks = 8
    return genai.ContinuousBatchingPipeline(str(exported), scheduling, "CPU")


def test_a_form_is_kept_beside_an_image(driver: Driver) -> None:
    schema = json.dumps({"enum": ["red", "blue"]})
    sampling = Sampling(max_tokens=20, temperature=0.0, logprobs=0)
    parts: list[Text | Image] = [Text("which"), Image(Blob(RED))]
    message = Message("user", parts)
    one = job(ChatInput(messages=[message], sampling=sampling, form=Json(schema=schema)))
    driver.run(one, ask("count", max_tokens=30))
    assert json.loads(driver.text(one)) in {"red", "blue"}
    told = [each for delta in driver.deltas(one) for each in delta.logprobs or []]
    assert b"".join(each.data for each in told).decode() == driver.text(one)


def test_several_answers_to_an_image_are_drawn(driver: Driver) -> None:
    one = ask("what is", RED)
    assert isinstance(one.input, ChatInput)
    drawn = Sampling(max_tokens=12, temperature=1.5, n=3, seed=7)
    many = job(ChatInput(messages=one.input.messages, sampling=drawn))
    driver.run(many)
    texts = {delta.choice: "" for delta in driver.deltas(many)}
    assert len(texts) == 3


def test_a_dropped_answer_to_an_image_leaves(driver: Driver) -> None:
    gone = ask(RED, "tell", max_tokens=200)
    driver.admit(gone)
    driver.until(lambda: bool(driver.deltas(gone)))
    driver.engine.drop(gone.id)
    together = [ask(RED, f"tell {at}", max_tokens=20) for at in range(4)]
    driver.run(*together)
    assert not driver.ended(gone)


def test_a_file_that_is_no_image_fails_its_own_request_and_is_named(driver: Driver) -> None:
    good = ask("what is", RED)
    driver.admit(good)
    error = driver.refused(ask(RED, RED[:60]))
    assert isinstance(error, UndecodableMedia)
    assert "image 2" in error.message
    driver.finish(good)


def test_images_count_towards_the_prompt(exported: Path) -> None:
    engine = OpenvinoChat()
    engine.load(spec(exported, max_prompt_tokens=60), lambda _: None)
    error = Driver(engine).refused(ask(picture(256, 256, "red")))
    assert isinstance(error, ContextTooLong)
    assert "maximum context length is 60 tokens" in error.message
    engine.close()


def test_a_vision_model_warms_up_with_an_image_too(driver: Driver, exported: Path) -> None:
    assert warm(driver.engine, spec(exported)) == {"chat-completion": "ok", "vision": "ok"}


def test_a_model_of_another_kind_is_named(exported: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(exported, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "gemma3"}))
    with pytest.raises(LoadError, match=r"takes images by models of the kinds .*qwen3_vl.*gemma3"):
        OpenvinoChat().load(spec(other), lambda _: None)


def test_a_model_without_its_part_for_images_is_named(exported: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(exported, cut)
    (cut / "openvino_vision_embeddings_model.xml").unlink()
    with pytest.raises(LoadError, match=r"it has no openvino_vision_embeddings_model\.xml"):
        OpenvinoChat().load(spec(cut), lambda _: None)


def test_the_official_sdk_sends_two_images_through_a_running_server(
    exported: Path, reference: ImageReference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it sees, and by which engine, is read from its files."""
    catalog = tmp_path / "models.yaml"
    catalog.write_text(
        f"models: [{{name: tiny/vl, task: chat, source: 'file:{exported}', device: cpu}}]"
    )
    monkeypatch.setenv("EDGE_SERVE_CONFIG", str(catalog))
    monkeypatch.delenv("MODELS", raising=False)
    content: Any = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": _data_url(part)}}
        for part in TWO_IMAGES
    ]
    with tempfile.TemporaryDirectory(prefix="es-") as run_dir:
        server = Server(run_dir)
        try:
            server.wait_ready()
            with OpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
                whole = client.chat.completions.create(
                    model="tiny/vl",
                    messages=[{"role": "user", "content": content}],
                    max_tokens=40,
                    temperature=0,
                )
                told = client.models.retrieve("tiny/vl").to_dict()
        finally:
            server.process.terminate()
            server.process.wait(timeout=60)
            server.log.unlink()
    one = ask(*TWO_IMAGES, max_tokens=40)
    assert whole.choices[0].message.content == reference.text(one)
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == reference.inputs(one)["input_ids"].shape[1]
    assert told["capabilities"] == ["chat-completion", "vision", "migration"]


def _data_url(file: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"
