"""A stream that its client loses and reads on, from outside."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.process.box import CHAT, Box, Gate, MakeBox, spec, wait_until

WORDS = " ".join(f"word{number}" for number in range(40))
HELD_AT = 20  # words, which are several thousand bytes of a stream
RESUME = {"x-request-resume": "1"}


def body(gate: Gate) -> dict[str, Any]:
    """What is answered by half of the words, and by the others once the gate is open."""
    messages = [{"role": "user", "content": gate.held(WORDS, after=HELD_AT)}]
    return {"model": CHAT, "stream": True, "max_tokens": 100, "messages": messages}


def said(stream: str) -> str:
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    )


def begun(box: Box, gate: Gate, size: int, **headers: str) -> tuple[str, bytes]:
    """A stream's id and its first bytes, so many or some more; its connection is cut then."""
    asked = box.client.stream(
        "POST", "/v1/chat/completions", json=body(gate), headers={**RESUME, **headers}
    )
    read = b""
    with asked as answer:
        for piece in answer.iter_raw():
            read += piece
            if len(read) >= size:
                break
        return answer.headers["x-stream-id"], read


def test_a_stream_that_was_cut_off_is_read_to_its_end(box: Box, gate: Gate) -> None:
    stream_id, read = begun(box, gate, 2000)
    gate.open()
    rest = box.client.get("/v1/stream", params={"id": stream_id, "from": len(read)})
    assert rest.headers["content-type"].startswith("text/event-stream")
    whole = read.decode() + rest.text
    assert said(whole).split() == WORDS.split()
    assert whole.count("data: [DONE]") == 1
    again = box.client.get("/v1/stream", params={"id": stream_id})
    assert again.text == whole


def test_one_that_is_stopped_gives_its_slot_back(box: Box, gate: Gate) -> None:
    stream_id, _ = begun(box, gate, 500)
    assert box.queue(CHAT)["in_flight"] == 1
    stopped = box.client.delete("/v1/stream", params={"id": stream_id})
    assert stopped.json() == {"id": stream_id, "stopped": True}
    wait_until(lambda: box.queue(CHAT)["in_flight"] == 0)
    assert box.client.get("/v1/stream", params={"id": stream_id}).status_code == 404


def test_who_still_reads_one_that_is_stopped_is_told_so_and_nothing_is_an_error(
    box: Box, gate: Gate
) -> None:
    asked = body(gate)
    with box.client.stream("POST", "/v1/chat/completions", json=asked, headers=RESUME) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        box.client.delete("/v1/stream", params={"id": answer.headers["x-stream-id"]})
        last = b"".join(pieces).decode().split("\n\n")[-2]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "stream_stopped"
    assert [line for line in box.lines() if "ERROR" in line] == []


def test_only_the_key_that_began_it_reads_it(make_box: MakeBox, gate: Gate) -> None:
    access = AccessConfig(api_keys={"ann": ApiKey.of("sesame"), "bob": ApiKey.of("poppy")})
    box = make_box(spec(CHAT), gate=access)
    ann, bob = ({"authorization": f"Bearer {key}"} for key in ("sesame", "poppy"))
    wait_until(lambda: _ready(box, ann))
    stream_id, _ = begun(box, gate, 500, **ann)
    where = {"id": stream_id}
    assert box.client.get("/v1/stream", params=where, headers=bob).status_code == 404
    assert box.client.delete("/v1/stream", params=where, headers=bob).status_code == 404
    assert box.client.get("/v1/stream", params=where).status_code == 401
    assert box.client.delete("/v1/stream", params=where, headers=ann).status_code == 200


def _ready(box: Box, headers: dict[str, str]) -> bool:
    try:
        return box.client.get("/readyz", headers=headers).status_code == 200
    except httpx2.TransportError:
        return False


def test_its_head_is_an_answer_of_its_own_while_it_goes_on(box: Box, gate: Gate) -> None:
    stream_id, _ = begun(box, gate, 500)
    head = box.client.head("/v1/stream", params={"id": stream_id})
    assert (head.status_code, head.headers["x-stream-id"]) == (200, stream_id)
    assert box.client.get("/livez").status_code == 200  # by the same connection
    assert box.queue(CHAT)["in_flight"] == 1
    box.client.delete("/v1/stream", params={"id": stream_id})


def test_what_has_never_been_is_not_read(box: Box, gate: Gate) -> None:
    stream_id, _ = begun(box, gate, 200)
    box.client.delete("/v1/stream", params={"id": stream_id})
    for query in ({"id": "stream_0"}, {}, {"id": stream_id, "from": "9"}):
        assert box.client.get("/v1/stream", params=query).status_code == 404
    assert box.client.get("/v1/stream", params={"id": "x", "from": "-1"}).status_code == 400


def test_strangers_and_clients_that_leave_at_once_take_no_room(
    make_box: MakeBox, gate: Gate
) -> None:
    box = make_box(spec(CHAT), gate=AccessConfig(api_keys={"ann": ApiKey.of("sesame")}))
    ann = {"authorization": "Bearer sesame"}
    wait_until(lambda: _ready(box, ann))
    for _ in range(70):
        refused = box.client.post("/v1/chat/completions", json=body(gate), headers=RESUME)
        assert (refused.status_code, "x-stream-id" in refused.headers) == (401, False)
        wrong = box.client.post("/v1/chat/completions", json={}, headers={**RESUME, **ann})
        assert (wrong.status_code, "x-stream-id" in wrong.headers) == (400, False)
    stream_id, _ = begun(box, gate, 500, **ann)
    gate.open()
    assert box.client.get("/v1/stream", params={"id": stream_id}, headers=ann).status_code == 200
