"""Batches from upload to results, through the application, with a dispatcher that is scripted."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frontend.batches import retry
from frontend.dispatch.stream import Stream
from ipc.messages.control import AccessConfig
from ipc.messages.errors import GaveWay, InternalError, ServeError, WorkerCrashed
from ipc.messages.events import Delta
from ipc.messages.keys import ApiKey
from tests.unit.frontend.batches.box import ENDPOINT, box, happens, line, play
from tests.unit.frontend.http_fakes import FakeDispatcher, chat_done, says, silent


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.001)
    monkeypatch.setattr("frontend.batches.run.GAVE_WAY_S", 0.001)
    monkeypatch.setattr("frontend.batches.service.RETRY_S", 0.001)


def fails_first(*errors: ServeError) -> Callable[[Stream], None]:
    """Each request fails with the next of these, then they are answered."""
    left = list(errors)

    def script(stream: Stream) -> None:
        if left:
            stream.fail(left.pop(0))
        else:
            says("hello")(stream)

    return script


def test_each_line_is_answered_as_the_route_would(tmp_path: Path) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b") as one:
            begun = await one.begin(
                line("a"), line("bad", temperature=9), line("c"), metadata={"for": "test"}
            )
            assert (begun["status"], begun["output_file_id"]) == ("validating", None)
            done = await one.until(begun, "completed")
            assert done["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
            assert done["metadata"] == {"for": "test"}
            answers = {each["custom_id"]: each for each in await one.lines(done["output_file_id"])}
            assert answers.keys() == {"a", "c"}
            response = answers["a"]["response"]
            assert response["status_code"] == 200
            assert response["request_id"].startswith("req_")
            assert response["body"]["choices"][0]["message"]["content"] == "hello"
            (wrong,) = await one.lines(done["error_file_id"])
            assert (wrong["custom_id"], wrong["response"]["status_code"]) == ("bad", 400)
            assert wrong["response"]["body"]["error"]["param"] == "temperature"
            assert [terms.background for terms in one.fake.terms] == [True, True]
            times = ("created_at", "in_progress_at", "finalizing_at", "completed_at")
            assert all(done[name] <= time.time() for name in times)

    play(scene)


def test_what_passes_is_asked_again_and_what_does_not_is_the_answer(tmp_path: Path) -> None:
    async def scene() -> None:
        errors = [
            WorkerCrashed("it fell over"),
            GaveWay("a client came"),
            InternalError("a defect"),
        ]
        async with box(tmp_path / "b", FakeDispatcher(fails_first(*errors))) as one:
            done = await one.until(await one.begin(line("a")), "completed")
            (wrong,) = await one.lines(done["error_file_id"])
            assert wrong["response"]["body"]["error"]["code"] == "internal_error"
            assert done["output_file_id"] is None
            assert len(one.fake.asked) == 3

    play(scene)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"{", {"code": "invalid_json_line", "param": None}),
        (line("a"), {"code": "duplicate_custom_id", "param": "custom_id"}),
        (
            line("b", stream=True),
            {"code": "unsupported_parameter", "param": "body.stream"},
        ),
        (
            line("b", model="org/none"),
            {"code": "model_not_found", "param": "body.model"},
        ),
        (line("b", model="org/embed"), {"code": "invalid_value", "param": "body.model"}),
    ],
)
def test_a_file_with_one_bad_line_is_refused_before_any_is_asked(
    tmp_path: Path, bad: bytes, problem: dict[str, Any]
) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b") as one:
            failed = await one.until(await one.begin(line("a"), bad), "failed", "completed")
            (told,) = failed["errors"]["data"]
            assert {"code": told["code"], "param": told["param"]} == problem
            assert told["line"] == 2
            assert failed["status"] == "failed"
            assert one.fake.asked == []

    play(scene)


def test_a_batch_that_is_called_off_keeps_what_was_answered(tmp_path: Path) -> None:
    first = [True]

    def script(stream: Stream) -> None:
        if first.pop() if first else False:
            says("hello")(stream)

    async def scene() -> None:
        async with box(tmp_path / "b", FakeDispatcher(script), lines_at_once=1) as one:
            batch = await one.begin(*(line(f"l{number}") for number in range(9)))
            await happens(lambda: len(one.fake.asked) == 2)
            told = (await one.client.post(f"/v1/batches/{batch['id']}/cancel")).json()
            assert told["status"] == "cancelling"
            done = await one.until(batch, "cancelled")
            assert done["request_counts"] == {"total": 9, "completed": 1, "failed": 0}
            assert [each["custom_id"] for each in await one.lines(done["output_file_id"])] == ["l0"]
            assert len(one.fake.cancelled) == 1
            again = await one.client.post(f"/v1/batches/{batch['id']}/cancel")
            assert again.status_code == 400

    play(scene)


def test_a_batch_goes_on_in_the_next_process_where_the_one_before_was(tmp_path: Path) -> None:
    lines = [line(f"l{number}") for number in range(50)]
    answered: list[int] = []

    def some(stream: Stream) -> None:
        if len(answered) < 20:
            answered.append(1)
            says("hello")(stream)

    async def scene() -> None:
        async with box(tmp_path / "b", FakeDispatcher(some), lines_at_once=8) as one:
            batch = await one.begin(*lines)
            await happens(lambda: len(one.fake.asked) == 28)
        async with box(tmp_path / "b") as two:
            done = await two.until(batch, "completed")
            assert done["request_counts"] == {"total": 50, "completed": 50, "failed": 0}
            names = [each["custom_id"] for each in await two.lines(done["output_file_id"])]
            assert sorted(names) == sorted(f"l{number}" for number in range(50))
            assert len(two.fake.asked) == 30

    play(scene)


def test_what_is_not_answered_in_the_window_has_expired(tmp_path: Path) -> None:
    now = [1000]
    first = [True]

    def one_answer(stream: Stream) -> None:
        if first.pop() if first else False:
            says("hello")(stream)

    async def scene() -> None:
        clock = lambda: now[0]  # noqa: E731
        fake = FakeDispatcher(one_answer)
        async with box(tmp_path / "b", fake, lines_at_once=1, now=clock) as one:
            batch = await one.begin(line("a"), line("b"), line("c"))
            await happens(lambda: len(one.fake.asked) == 2)
        now[0] += 24 * 3600 + 1
        async with box(tmp_path / "b", now=clock) as two:
            done = await two.until(batch, "expired", "completed")
            assert done["status"] == "expired"
            assert done["request_counts"] == {"total": 3, "completed": 1, "failed": 2}
            missed = await two.lines(done["error_file_id"])
            assert {each["custom_id"] for each in missed} == {"b", "c"}
            assert {each["error"]["code"] for each in missed} == {"batch_expired"}
            assert two.fake.asked == []

    play(scene)


def test_a_clock_that_is_set_back_gives_a_batch_no_more_than_its_day(tmp_path: Path) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b", FakeDispatcher(silent), now=lambda: 10**9) as one:
            batch = await one.begin(line("a"))
            await happens(lambda: one.fake.asked)
        async with box(tmp_path / "b", now=lambda: 1000) as two:
            assert (await two.until(batch, "completed", "expired"))["status"] == "completed"

    play(scene)


def test_results_that_the_disk_does_not_take_come_once_it_does(tmp_path: Path) -> None:
    async def scene() -> None:
        lines = [line(f"l{number}") for number in range(3)]
        async with box(tmp_path / "b", storage_bytes=5000) as one:
            other = (await one.upload(b"x" * 3900)).json()
            batch = await one.begin(*lines)
            await happens(lambda: len(one.fake.asked) > 3)
            assert (await one.batch(batch))["status"] == "in_progress"
            await one.client.delete(f"/v1/files/{other['id']}")
            done = await one.until(batch, "completed")
            names = [each["custom_id"] for each in await one.lines(done["output_file_id"])]
            assert sorted(names) == ["l0", "l1", "l2"]

    play(scene)


def test_two_processes_never_have_the_folder_at_once(tmp_path: Path) -> None:
    async def scene() -> None:
        first, second = box(tmp_path / "b"), box(tmp_path / "b")
        one = await first.__aenter__()
        file = (await one.upload(line("a"))).json()
        waiting = asyncio.create_task(second.__aenter__())
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        await first.__aexit__(None, None, None)
        two = await waiting
        assert [each["id"] for each in (await two.client.get("/v1/files")).json()["data"]] == [
            file["id"]
        ]
        await second.__aexit__(None, None, None)

    play(scene)


def test_what_a_killed_process_left_behind_is_swept(tmp_path: Path) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b") as one:
            kept = (await one.upload(line("a"))).json()
        for stray in ("files/file-stray", "uploads/half"):
            (tmp_path / "b" / stray).write_text("x")
        async with box(tmp_path / "b"):
            assert [path.name for path in (tmp_path / "b" / "files").iterdir()] == [kept["id"]]
            assert not [*(tmp_path / "b" / "uploads").iterdir()]

    play(scene)


def test_no_more_batches_wait_than_may(tmp_path: Path) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b", FakeDispatcher(silent), max_batches=1) as one:
            batch = await one.begin(line("a"))
            asked = {
                "input_file_id": batch["input_file_id"],
                "endpoint": ENDPOINT,
                "completion_window": "24h",
            }
            refused = await one.client.post("/v1/batches", json=asked)
            assert (refused.status_code, refused.json()["error"]["code"]) == (
                429,
                "rate_limit_exceeded",
            )

    play(scene)


def test_a_stream_is_in_the_background_only_for_a_batch(tmp_path: Path) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b") as one:
            body = {"model": "org/chat", "messages": [{"role": "user", "content": "x"}]}
            assert (await one.client.post(ENDPOINT, json=body)).status_code == 200
            assert [terms.background for terms in one.fake.terms] == [False]

    play(scene)


def test_pieces_that_come_slowly_are_one_answer(tmp_path: Path) -> None:
    streams: list[Stream] = []

    async def scene() -> None:
        async with box(tmp_path / "b", FakeDispatcher(streams.append)) as one:
            batch = await one.begin(line("a"))
            await happens(lambda: streams)
            streams[0].push(Delta("job", "hel"), 0.0)
            await asyncio.sleep(0)
            streams[0].push(Delta("job", "lo"), 0.0)
            streams[0].push(chat_done(), 0.0)
            done = await one.until(batch, "completed")
            (answer,) = await one.lines(done["output_file_id"])
            assert answer["response"]["body"]["choices"][0]["message"]["content"] == "hello"

    play(scene)


BOB, ANN = "sk-of-bob-in-the-test", "sk-of-ann-in-the-test"
BOTH = AccessConfig(api_keys={"ann": ApiKey.of(ANN), "bob": ApiKey.of(BOB)})
AS_ANN, AS_BOB = {"x-api-key": ANN}, {"x-api-key": BOB}


def files_in(folder: Path) -> list[Path]:
    return [*(folder / "files").iterdir()]


def test_a_key_that_is_removed_leaves_nothing_to_the_next_one_of_its_name(tmp_path: Path) -> None:
    folder, streams = tmp_path / "b", list[Stream]()

    async def scene() -> None:
        async with box(folder, FakeDispatcher(streams.append), BOTH, AS_BOB) as one:
            await one.begin(*[line(str(number)) for number in range(20)])
            await happens(lambda: streams)
            one.batches.know({"ann"})
            one.batches.know({"ann", "bob"})  # and there is another one called so, at once
            await happens(lambda: not files_in(folder))
            for path in ("/v1/files", "/v1/batches"):
                assert (await one.client.get(path)).json()["data"] == []
            asked = len(streams)
            file = (await one.upload(line("new"))).json()
            one.batches.know({"ann", "bob"})
            assert (await one.client.get(f"/v1/files/{file['id']}")).status_code == 200
            assert len(streams) == asked

    play(scene)


def test_what_a_key_left_that_was_removed_meanwhile_is_deleted_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    ann = AccessConfig(api_keys={"ann": ApiKey.of(ANN)})

    async def scene() -> None:
        async with box(folder, FakeDispatcher(silent), BOTH, AS_BOB) as one:
            await one.begin(line("a"))
        async with box(folder, FakeDispatcher(silent)):  # without keys nobody's is told from others
            assert files_in(folder)
        async with box(folder, FakeDispatcher(silent), ann, AS_ANN) as one:
            await one.upload(line("of ann"))
            await happens(lambda: len(files_in(folder)) == 1)
        async with box(folder, FakeDispatcher(silent), BOTH, AS_BOB) as one:
            assert (await one.client.get("/v1/batches")).json()["data"] == []
            assert (await one.client.get("/v1/files")).json()["data"] == []
            assert len(files_in(folder)) == 1

    play(scene)


def test_what_the_disk_does_not_take_is_503_and_says_why(tmp_path: Path) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b") as one:
            file = (await one.upload(line("a"))).json()
            shutil.rmtree(tmp_path / "b")
            asked = {"input_file_id": file["id"], "endpoint": ENDPOINT, "completion_window": "24h"}
            for answer in (
                await one.upload(line("b")),
                await one.client.post("/v1/batches", json=asked),
                await one.client.delete(f"/v1/files/{file['id']}"),
            ):
                assert answer.status_code == 503, answer.text
                assert answer.json()["error"]["message"] == (
                    "files and batches cannot be written: No such file or directory"
                )

    play(scene)
