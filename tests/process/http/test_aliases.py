"""Models come and go by the routes of llama.cpp's router, llama-swap and LM Studio: real processes,
asked as their clients ask."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from supervisor.state.audit import NAME
from tests.process.box import CHAT, EMBED, Box, MakeBox, spec, wait_until

SLOW = "/slow 200 " + "word " * 20  # four seconds
QUOTED = CHAT.replace("/", "%2F")


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def box(module_box: MakeBox, state_dir: Path) -> Box:
    return module_box(
        spec(CHAT, load="on_demand", slots=2), spec(EMBED), state_dir=str(state_dir)
    ).wait_ready()


def get(box: Box, path: str) -> Any:
    answer = box.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(box: Box, path: str, **body: Any) -> httpx2.Response:
    return box.client.post(path, json=body) if body else box.client.post(path)


class Face(NamedTuple):
    """How a model is loaded and unloaded there, and the state that it tells of it."""

    load: Callable[[Box], httpx2.Response]
    unload: Callable[[Box], httpx2.Response]
    state: Callable[[Box], str]
    loaded: str
    unloaded: str


def of_router(box: Box) -> str:
    entry = next(one for one in get(box, "/models")["data"] if one["id"] == CHAT)
    return str(entry["status"]["value"])


def of_swap(box: Box) -> str:
    running = {one["model"]: one["state"] for one in get(box, "/running")["running"]}
    return str(running.get(CHAT, ""))


def of_lm_studio(box: Box) -> str:
    return str(get(box, f"/api/v0/models/{CHAT}")["state"])


FACES = {
    "router": Face(
        lambda box: post(box, "/models/load", model=CHAT),
        lambda box: post(box, "/models/unload", model=CHAT),
        of_router,
        *("loaded", "unloaded"),
    ),
    "swap": Face(
        lambda box: box.chat("a request has it loaded there"),
        lambda box: post(box, f"/api/models/unload/{QUOTED}"),
        of_swap,
        *("ready", ""),
    ),
    "LM Studio": Face(
        lambda box: post(box, "/api/v1/models/load", model=CHAT),
        lambda box: post(box, "/api/v1/models/unload", instance_id=CHAT),
        of_lm_studio,
        *("loaded", "not-loaded"),
    ),
}


@pytest.mark.parametrize("face", FACES.values(), ids=FACES)
def test_a_model_is_loaded_and_unloaded(box: Box, face: Face) -> None:
    wait_until(lambda: face.state(box) == face.unloaded)
    assert face.load(box).status_code == 200
    wait_until(lambda: face.state(box) == face.loaded)
    assert face.unload(box).status_code == 200
    wait_until(lambda: face.state(box) == face.unloaded)


def test_all_that_was_done_is_written_down(box: Box, state_dir: Path) -> None:
    post(box, "/models/load", model=CHAT)
    wait_until(lambda: of_router(box) == "loaded")
    assert box.client.get("/unload").text == "OK"
    wait_until(lambda: of_router(box) == "unloaded")

    def last() -> list[tuple[str, str | None]]:
        lines = (state_dir / NAME).read_bytes().splitlines()
        return [(one["act"], one["on"]) for one in map(json.loads, lines[-2:])]

    wait_until(lambda: last() == [("model.load", CHAT), ("model.unload", None)])


def test_a_load_that_lm_studios_clients_wait_for_tells_how_it_was(box: Box) -> None:
    told = post(box, "/api/v1/models/load", model=CHAT, echo_load_config=True).json()
    assert (told["status"], told["instance_id"]) == ("loaded", CHAT)
    assert told["load_config"]["context_length"] == of_props(box)["n_ctx"]
    (listed,) = [one for one in get(box, "/api/v1/models")["models"] if one["key"] == CHAT]
    assert [one["id"] for one in listed["loaded_instances"]] == [CHAT]
    post(box, "/api/v1/models/unload", instance_id=CHAT)
    wait_until(lambda: of_router(box) == "unloaded")


def of_props(box: Box) -> dict[str, Any]:
    settings: dict[str, Any] = get(box, f"/props?model={QUOTED}&autoload=false")[
        "default_generation_settings"
    ]
    return settings


def test_nothing_is_loaded_for_who_says_so(box: Box) -> None:
    body = {"model": CHAT, "messages": [{"role": "user", "content": "hello"}]}
    refused = box.client.post("/v1/chat/completions?autoload=false", json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "autoload")
    assert of_router(box) == "unloaded"
    assert box.client.post("/v1/chat/completions?autoload=true", json=body).status_code == 200
    again = box.client.post("/v1/chat/completions?autoload=false", json=body)
    assert again.status_code == 200
    post(box, "/models/unload", model=CHAT)
    wait_until(lambda: of_router(box) == "unloaded")


def test_a_model_that_is_told_to_leave_finishes_its_answer_and_shows_its_slot(box: Box) -> None:
    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(box.chat, SLOW)
        wait_until(lambda: get(box, "/slots")[0]["is_processing"])
        assert post(box, "/models/unload", model=CHAT).status_code == 200
        wait_until(lambda: of_swap(box) == "stopping")
        assert answer.result().status_code == 200
    wait_until(lambda: of_router(box) == "unloaded")
    assert not any(slot["is_processing"] for slot in get(box, "/slots"))


def test_what_becomes_of_models_is_followed(box: Box) -> None:
    with box.client.stream("GET", "/models/sse") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert post(box, "/models/load", model=CHAT).status_code == 200
        for line in answer.iter_lines():
            if not line.startswith("data: "):
                continue
            told = json.loads(line[6:])
            assert (told["model"], told["event"]) == (CHAT, "model_status")
            if told["data"]["status"] == "loaded":
                break


def lines(answer: httpx2.Response) -> Iterator[str]:
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return answer.iter_lines()


def test_logs_are_plain_lines(box: Box) -> None:
    assert "path=/" in box.client.get("/logs").text
    asked = threading.Event()

    def ask() -> None:
        while not asked.wait(0.2):
            box.client.get("/nowhere/of-the-test")

    asks = threading.Thread(target=ask)
    asks.start()
    try:  # as in llama-swap, nothing comes before the first line
        with box.client.stream("GET", "/logs/stream?no-history") as answer:
            assert any("/nowhere/of-the-test" in line for line in lines(answer))
    finally:
        asked.set()
        asks.join()


def test_what_a_models_worker_has_said_is_followed_also_when_it_has_died(box: Box) -> None:
    assert box.embed("it is back").status_code == 200
    box.kill(EMBED, signal.SIGABRT)
    with box.client.stream("GET", f"/logs/stream/{EMBED.replace('/', '%2F')}") as answer:
        assert any("Fatal Python error: Aborted" in line for line in lines(answer))
