"""Three boxes as one, by Ray Serve, with echo: whatever dies, each request has one end, and says
what it would have said."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest
import yaml

from ipc.cluster import folder_of
from tests.clients import cluster_boxes
from tests.clients.cluster_boxes import ADDRESSES, CHAT, EMBED, MODELS, Box, boxes, command_of, kill
from tests.fake_hub import COMMIT, FakeHub
from tests.process.box import lives, wait_until

CLIENT = cluster_boxes.CLIENT
WORDS = [f"w{number}" for number in range(120)]
WORD_MS = 25
# Longer than a drain takes until it is begun: the command has to import Ray first.
DRAINED_WORD_MS = 200
BACK_S = 600.0
SCALED = {
    **MODELS[0],
    "name": "echo/scaled",
    "replicas": {"min": 1, "max": 2, "wait_s": 1, "idle_s": 20},
    "slots": 2,
}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Box]]:
    with boxes(tmp_path_factory.mktemp("cluster"), [*MODELS, SCALED]) as found:
        yield found


def client(box: Box) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{box.url}/v1", api_key="none", max_retries=0, timeout=120)


def slow(word_ms: int) -> str:
    return f"/slow {word_ms} " + " ".join(WORDS)


def stream(box: Box, come: list[str], word_ms: int, model: str = CHAT) -> int:
    """Have all words written, each kept as it comes; returns how many tokens are counted."""
    chunks = client(box).chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": slow(word_ms)}],
        stream=True,
        stream_options={"include_usage": True},
    )
    counted = 0
    for chunk in chunks:
        if chunk.choices:
            come.append(chunk.choices[0].delta.content or "")
        elif chunk.usage is not None:
            counted = chunk.usage.completion_tokens
    return counted


def whole_while(
    through: Sequence[Box], happens: Callable[[], object], word_ms: int = WORD_MS
) -> None:
    """Two streams by each box say all that they should, whatever happens amid them."""
    kept: list[list[str]] = [[] for _ in range(2 * len(through))]
    with ThreadPoolExecutor(len(kept)) as pool:
        asked = [
            pool.submit(stream, box, come, word_ms)
            for box, come in zip([*through, *through], kept, strict=True)
        ]
        wait_until(lambda: all(len(come) > 10 for come in kept))
        happens()
        counted = [each.result() for each in asked]
    assert ["".join(come).split() for come in kept] == [WORDS] * len(kept)
    assert counted == [len(WORDS)] * len(kept)


def placed(cluster: list[Box], model: str = CHAT) -> Counter[str]:
    """How many replicas of a model each box has, by its address."""
    state = cluster[0].state()
    return Counter(next((one.on for one in state.models if one.model == model), []))


def replicas_of(box: Box) -> list[psutil.Process]:
    return [one for one in box.parts("ray::ServeReplica") if CHAT in command_of(one)]


def wait_whole(cluster: list[Box]) -> None:
    """Until all boxes serve, and no replica is missing."""
    for box in cluster:
        wait_until(box.ready, BACK_S)
    wait_until(lambda: sum(placed(cluster).values()) == 2, BACK_S)


def test_every_box_answers_for_every_model(cluster: list[Box]) -> None:
    for box in cluster:
        said = client(box).chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": "one two three"}]
        )
        assert said.choices[0].message.content == "one two three"
        assert said.usage is not None
        assert said.usage.completion_tokens == 3
        vectors = client(box).embeddings.create(model=EMBED, input=["a", "b"])
        assert [len(one.embedding) for one in vectors.data] == [8, 8]


def test_what_is_wrong_with_a_request_is_said_as_ever(cluster: list[Box]) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client(cluster[1]).chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": "/deny it"}]
        )
    assert refused.value.code == "invalid_value"


def test_the_boxes_and_their_replicas_are_told(cluster: list[Box]) -> None:
    state = cluster[2].state()
    assert {box.address: box.state for box in state.boxes} == dict.fromkeys(ADDRESSES, "up")
    assert sum(placed(cluster, EMBED).values()) == 2


def test_whoever_has_no_token_is_not_let_in(cluster: list[Box]) -> None:
    """Nor by HTTP, where each box has an agent that would run what it is given."""
    agent = f"http://{cluster[1].address}:52365/api/job_agent/jobs/"
    assert httpx2.post(agent, json={"entrypoint": "id"}).status_code == 401


def test_replicas_come_where_requests_wait_and_go_once_they_do_not(cluster: list[Box]) -> None:
    """They wait on a box that is not the first one, which decides."""
    name, enough = str(SCALED["name"]), threading.Event()

    def ask() -> None:
        while not enough.is_set():
            come: list[str] = []
            stream(cluster[1], come, WORD_MS, name)
            assert "".join(come).split() == WORDS

    assert sum(placed(cluster, name).values()) == 1
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask) for _ in range(8)]
        try:
            wait_until(lambda: sum(placed(cluster, name).values()) == 2, BACK_S)
        finally:
            enough.set()
        for one in asked:
            one.result()
    wait_until(lambda: sum(placed(cluster, name).values()) == 1, BACK_S)


def test_files_come_from_another_box_before_they_come_from_the_hub(
    cluster: list[Box], tmp_path: Path
) -> None:
    weights, repository = os.urandom(9_000_000), "acme/tiny"
    hub = FakeHub(tmp_path / "hub")
    hub.put(repository, {"weights.bin": weights, "config.json": b"{}"})
    entry: dict[str, Any] = {"name": repository, "task": "chat", "engine": "echo"}
    entry |= {"source": f"hf:{repository}@{COMMIT}", "include": ["*"]}
    catalog = tmp_path / "models.yaml"
    catalog.write_text(yaml.safe_dump({"models": [entry]}))
    pull = ("pull", "--config", str(catalog), repository)
    with hub.running() as url:
        cluster[1].command(*pull, HF_ENDPOINT=url)
        sent = len(hub.sent)
        assert sent
        cluster[2].command(*pull, HF_ENDPOINT=url)
        assert len(hub.sent) == sent
    cluster[0].command(*pull, HF_ENDPOINT="http://127.0.0.1:9")
    for box in cluster:
        assert (box.models_dir / "acme--tiny" / "weights.bin").read_bytes() == weights


def test_streams_go_on_when_a_replica_is_killed(cluster: list[Box]) -> None:
    victims = [one for box in cluster for one in replicas_of(box)]
    whole_while(cluster, lambda: kill(victims[:1]))
    wait_whole(cluster)


def test_nobody_notices_that_the_control_service_is_killed(cluster: list[Box]) -> None:
    whole_while(cluster, lambda: kill(cluster[0].parts("gcs_server")[:1]))
    victims = [one for box in cluster for one in replicas_of(box)]
    whole_while(cluster, lambda: kill(victims[:1]))  # it still replaces who is missing
    wait_whole(cluster)


def test_streams_go_on_when_a_box_loses_ray(cluster: list[Box]) -> None:
    """Those that came by that box, too: its own worker comes back and goes on."""
    whole_while(cluster, lambda: kill(cluster[2].parts("raylet_socket_name")[:1]))
    wait_whole(cluster)


def test_a_request_that_kills_its_replicas_ends_with_an_error(cluster: list[Box]) -> None:
    with pytest.raises(openai.InternalServerError) as ended:
        client(cluster[1]).chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": "/exit 3"}]
        )
    assert ended.value.code == "worker_crashed"
    wait_whole(cluster)


def test_a_client_that_leaves_frees_its_replica(cluster: list[Box]) -> None:
    body = {"model": CHAT, "stream": True, "messages": [{"role": "user", "content": slow(WORD_MS)}]}
    for _ in range(2 * 8 + 1):  # more than all replicas may run at once
        url = f"{cluster[1].url}/v1/chat/completions"
        with httpx2.stream("POST", url, json=body, timeout=60) as answer:
            next(answer.iter_lines())
    whole_while(cluster[1:2], lambda: None)


def test_a_box_that_is_drained_loses_nothing_and_leaves_nothing(cluster: list[Box]) -> None:
    *staying, leaving = cluster
    member, processes = leaving.member(), leaving.parts()
    assert member is not None
    whole_while(
        staying, lambda: staying[0].cluster("drain", leaving.address), word_ms=DRAINED_WORD_MS
    )
    assert placed(cluster)[leaving.address] == 0
    leaving.stop()
    leaving.cluster("leave")
    wait_until(lambda: not [one for one in processes if lives(one)], BACK_S)
    assert not member.temp_dir.exists()
    assert not folder_of(leaving.state_dir).exists()
