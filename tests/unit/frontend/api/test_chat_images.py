"""Images in chat requests: who may send them, what they become, what clients are told."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from frontend.api.images import MAX_IMAGE_BYTES, Remote
from frontend.api.openai.chat_request import parse_chat
from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput, Image, Job, Message, Text
from ipc.messages.spec import Spec
from ipc.transport.wire import Decoder, encode
from supervisor.config.entries.entry import Entry
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Settings
from supervisor.config.spec import Files, spec_for
from supervisor.host.hardware import Box
from supervisor.launch.files import has_vision
from tests.unit.frontend.http_fakes import FakeDispatcher, application, says

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
GIF = b"GIF89a" + bytes(20)
WEBP = b"RIFF\x18\0\0\0WEBPVP8 " + bytes(20)

SEES = Spec(name="org/sees", task="chat", engine="torch", path="", vision=True)
READS = Spec(name="org/reads", task="chat", engine="torch", path="")


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def image(url: object, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


def chat(
    *messages: dict[str, Any], spec: Spec = SEES, remote: list[Remote] | None = None
) -> list[Message]:
    asked = parse_chat({"model": spec.name, "messages": list(messages)})
    return asked.to_input(spec, [] if remote is None else remote).messages


def refusal(*messages: dict[str, Any], spec: Spec = SEES) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        chat(*messages, spec=spec)
    return caught.value


def test_images_stay_where_they_stood_in_the_text() -> None:
    found = chat(user(text("a"), image(data_url(PNG)), text("b"), image(data_url(JPEG)), text("c")))
    assert found == [
        Message("user", [Text("a"), Image(Blob(PNG)), Text("b"), Image(Blob(JPEG)), Text("c")])
    ]


def test_a_turn_without_images_is_one_text() -> None:
    assert chat(user(text("a"), text("b"))) == [Message("user", "a\nb")]


@pytest.mark.parametrize("file", [PNG, JPEG, GIF, WEBP])
@pytest.mark.parametrize("declared", ["image/png", "image/svg+xml", "text/plain;x=y", ""])
def test_a_files_bytes_say_what_it_is(file: bytes, declared: str) -> None:
    assert chat(user(image(data_url(file, declared)))) == [Message("user", [Image(Blob(file))])]


def test_detail_is_skipped_and_the_scheme_has_no_case() -> None:
    url = data_url(PNG).replace("data:", "DATA:").replace("base64", "BASE64")
    assert chat(user(image(url, detail="high"))) == [Message("user", [Image(Blob(PNG))])]


def test_other_addresses_are_left_to_be_fetched() -> None:
    remote: list[Remote] = []
    (message,) = chat(user(text("a"), image("https://example.com/a.png")), remote=remote)
    assert [(one.url, one.path) for one in remote] == [
        ("https://example.com/a.png", "messages[0].content[1].image_url.url")
    ]
    remote[0].image.file.data = PNG
    assert message.content == [Text("a"), Image(Blob(PNG))]


def test_a_model_that_reads_text_only_says_so() -> None:
    error = refusal(user(image(data_url(PNG))), spec=READS)
    assert isinstance(error, UnsupportedParameter)
    assert error.message == (
        "`messages[0].content[0]`: model 'org/reads' reads text only, no images"
    )


def test_a_model_that_sees_does_not_hear() -> None:
    error = refusal(user({"type": "input_audio", "input_audio": {}}))
    assert error.message == (
        "`messages[0].content[0]`: model 'org/sees' reads text and images only, no audio"
    )


WRONG: list[tuple[Any, str]] = [
    (data_url(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"), "is not a PNG"),
    (data_url(b"%PDF-1.7", "image/png"), "is not a PNG"),
    (data_url(b"BM" + bytes(60), "image/bmp"), "is not a PNG"),
    (data_url(b""), "is not a PNG"),
    ("data:image/png;base64,****", "is not valid base64"),
    ("data:image/png;base64,iVBOR", "is not valid base64"),
    ("data:image/png;base64,\u00e9", "is not valid base64"),
    ("data:image/png,rawbytes", "must be a data URL in base64"),
    ("data:image/png;base64", "must be a data URL in base64"),
    ("data:", "must be a data URL in base64"),
    (data_url(bytes(MAX_IMAGE_BYTES + 3)), f"is over the limit of {MAX_IMAGE_BYTES} bytes"),
    (None, "must be a string"),
    (7, "must be a string"),
]


@pytest.mark.parametrize(("url", "rule"), WRONG, ids=[rule[:30] for _, rule in WRONG])
def test_a_bad_image_is_refused_by_its_place(url: Any, rule: str) -> None:
    error = refusal(user(text("a"), image(url)))
    assert error.param == "messages[0].content[1].image_url.url"
    assert error.message.startswith(f"`{error.param}` {rule}")


def test_image_url_must_be_an_object() -> None:
    error = refusal(user({"type": "image_url", "image_url": data_url(PNG)}))
    assert error.message == "`messages[0].content[0].image_url` must be an object"


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_only_users_send_images(role: str) -> None:
    error = refusal(user(image(data_url(PNG)), role=role))
    assert error.message == "`messages[0]`: only messages of the user have images"


def test_a_request_has_at_most_eight_images() -> None:
    assert len(chat(user(*[image(data_url(PNG))] * 8))[0].content) == 8
    error = refusal(user(*[image(data_url(PNG))] * 5), user(*[image("https://a.org/")] * 4))
    assert error.message == "the messages have 9 images; send at most 8"


def test_messages_with_images_cross_the_wire() -> None:
    asked = parse_chat(
        {"model": "m", "messages": [user(text("a"), image(data_url(PNG)), image(data_url(GIF)))]}
    ).to_input(SEES, [])
    job = Job(id="1", model="m", input=asked, deadline_at=1.0)
    frames = encode(job)
    assert frames[1:] == [PNG, GIF]
    assert Decoder[Job](Job).decode(frames) == job


# --- through the application ---


def post(url: str, **serve: Any) -> tuple[Any, FakeDispatcher]:
    fake = FakeDispatcher(says("a cat"))
    fake.specs[SEES.name] = SEES
    body = {"model": SEES.name, "messages": [user(text("what?"), image(url))]}
    with TestClient(application(fake, **serve)) as client:
        return client.post("/v1/chat/completions", json=body), fake


def test_an_image_reaches_the_queue_and_counts_towards_its_bytes() -> None:
    answer, fake = post(data_url(PNG))
    assert answer.json()["choices"][0]["message"]["content"] == "a cat"
    (asked,) = fake.asked
    assert isinstance(asked, ChatInput)
    assert asked.messages[0].content == [Text("what?"), Image(Blob(PNG))]
    assert fake.sizes[0][1] > len(data_url(PNG))


def test_a_remote_image_is_refused_unless_the_operator_allows_it() -> None:
    answer, fake = post("https://example.com/a.png")
    assert answer.status_code == 400
    assert "ALLOW_REMOTE_IMAGES" in answer.json()["error"]["message"]
    assert fake.asked == []


def test_models_say_which_of_them_see() -> None:
    fake = FakeDispatcher()
    fake.specs[SEES.name] = SEES
    with TestClient(application(fake)) as client:
        found = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
    assert found[SEES.name]["capabilities"] == ["chat-completion", "vision"]
    assert found["org/chat"]["capabilities"] == ["chat-completion"]


# --- from the catalog and the files to the spec ---


def entry(**keys: Any) -> Entry:
    return Entry.model_validate({"name": "acme/one", "task": "chat", **keys})


SETTINGS = Settings(models=[], chat_batch_max_size=6)
BATCHED = SETTINGS.model_copy(update={"chat_batch_allow_vision": True})


@pytest.mark.parametrize(
    ("keys", "settings", "vision_files", "vision", "slots"),
    [
        ({}, SETTINGS, False, False, 6),
        ({}, SETTINGS, True, True, 1),
        ({"vision": True}, SETTINGS, False, True, 1),
        ({"vision": False}, SETTINGS, True, False, 6),
        ({}, BATCHED, True, True, 6),
        ({"slots": 3}, SETTINGS, True, True, 3),
        ({"task": "embed"}, SETTINGS, True, False, 16),
        ({"engine": "openvino"}, SETTINGS, True, True, 1),
    ],
)
def test_models_that_see_are_found_and_answer_one_at_a_time_unless_allowed(
    keys: dict[str, Any], settings: Settings, vision_files: bool, vision: bool, slots: int
) -> None:
    spec = spec_for(entry(**keys), settings, Box(), Files(vision=vision_files))
    assert (spec.vision, spec.slots) == (vision, slots)


@pytest.mark.parametrize("keys", [{"task": "embed"}, {"task": "rerank"}])
def test_vision_where_there_can_be_none_is_a_mistake(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="vision"):
        spec_for(entry(vision=True, **keys), SETTINGS, Box(), Files())


def test_a_checkpoint_with_weights_for_images_is_known_by_its_config(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    assert not has_vision(config)
    for content in ('{"model_type": "qwen3"}', "{", "[]", "\0"):
        config.write_text(content)
        assert not has_vision(config)
    config.write_text(json.dumps({"model_type": "qwen3_vl", "vision_config": {}}))
    assert has_vision(config)


@pytest.mark.parametrize("hosts", ["http://example.com", "127.0.0.1", "*.example.com", "a b.org"])
def test_the_list_of_hosts_holds_names(hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_IMAGE_HOST_ALLOWLIST", f"good.example.com,{hosts}")
    with pytest.raises(ValueError, match="not a host"):
        Settings()


def test_hosts_are_compared_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_IMAGE_HOST_ALLOWLIST", "Img.Example.com, b.org")
    assert Settings().remote_image_host_allowlist == ["img.example.com", "b.org"]
