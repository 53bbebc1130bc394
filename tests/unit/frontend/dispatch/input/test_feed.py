"""Input that follows its job: what is sent to whom, what is kept, and who may begin again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec
import pytest

from frontend.dispatch.crashes.quarantine import fingerprint
from frontend.dispatch.input.early import begins_early
from frontend.dispatch.input.feed import InputFeed
from frontend.dispatch.input.writer import InputWriter
from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import (
    INPUT_CREDIT_BYTES,
    MAX_MORE_BYTES,
    Input,
    Job,
    Live,
    More,
    SpeechInput,
)
from ipc.messages.spec import Loaded
from tests.unit.frontend.dispatch.history import SPEC, History, Step

STREAMED = SpeechInput(audio=Blob(b""), streamed=True, live=Live())
ONE: list[Step] = [("start w.1", ["connect w.1"]), ("open w.1", [])]


class Fed(History):
    """Clients whose sound follows their requests."""

    def __init__(self, slots: int = 8) -> None:
        super().__init__(msgspec.structs.replace(SPEC, task="speech", slots=slots))

    def text(self, _text: str) -> Input:
        return STREAMED

    def writes(self, name: str, *pieces: str) -> None:
        """Each is a piece; ``.`` is the last."""
        writer = self.stream(name).input
        assert writer is not None
        for piece in pieces:
            _at_once(writer, piece.encode(), last=piece == ".")


def _at_once(writer: InputWriter, data: bytes, *, last: bool) -> None:
    with pytest.raises(StopIteration):
        writer.write(data, last=last).send(None)


def test_what_comes_while_a_job_waits_is_sent_behind_it_and_the_rest_at_once() -> None:
    Fed().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("writes b x y", []),
        ("writes a x", ["piece 0 of a to w.1"]),
        ("writes a .", ["piece 1 of a to w.1, the last"]),
        ("uses a 2", []),
        ("done a", ["send b to w.1", "piece 0 of b to w.1", "piece 1 of b to w.1", "a: done"]),
        ("writes b .", ["piece 2 of b to w.1, the last"]),
    )


def test_a_job_that_was_given_back_with_all_its_input_here_begins_again() -> None:
    Fed().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a x", ["piece 0 of a to w.1"]),
        ("closing w.1", []),
        ("unbegun a", []),
        ("start w.2", ["connect w.2"]),
        ("open w.2", ["send a to w.2, attempt 2", "piece 0 of a to w.2"]),
    )


def test_one_of_which_a_piece_has_been_used_ends_with_one_error() -> None:
    Fed().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a x y", ["piece 0 of a to w.1", "piece 1 of a to w.1"]),
        ("uses a 1", []),
        ("closing w.1", []),
        ("unbegun a", ["a: internal_error"]),
    )


def test_one_whose_worker_dies_ends_with_one_error() -> None:
    Fed().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a x", ["piece 0 of a to w.1"]),
        ("uses a 1", []),
        ("crash w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1", "a: worker_crashed"]),
    )


def test_whoever_leaves_sends_no_more() -> None:
    history = Fed().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a x", ["piece 0 of a to w.1"]),
    )
    writer = history.stream("a").input
    assert writer is not None
    history.play(("leave a", ["cancel a at w.1"]))
    _at_once(writer, b"y", last=False)
    assert history.world.did == []


def test_a_model_that_takes_no_pieces_is_not_asked_once_that_is_known() -> None:
    history = Fed().play(*ONE)
    history.states["m"] = msgspec.structs.replace(history.states["m"], loaded=Loaded(device="cpu"))
    history.publish()
    history.play(("ask a", ["a: invalid_value"]))
    assert isinstance(history.errors["a"], InvalidRequest)


def test_memory_for_what_is_on_its_way_is_claimed_with_the_job() -> None:
    history = Fed().play(*ONE, ("ask a", ["send a to w.1"]))
    assert history.budget.held_bytes == (300 << 10) + INPUT_CREDIT_BYTES
    history.play(("done a", ["a: done"]))
    assert history.budget.held_bytes == 0


def test_the_time_of_a_job_may_be_its_own() -> None:
    history = Fed().play(*ONE, ("ask a", ["send a to w.1"]))
    assert history.world.sent[0].deadline_at == history.world.time + SPEC.request_timeout_s


def test_no_more_is_held_than_the_credit_and_one_piece() -> None:
    feed, added = InputFeed("a"), 0
    while feed.has_room:
        feed.add(bytes(MAX_MORE_BYTES))
        added += 1
    assert sum(more.cost_bytes for more in feed.held) >= INPUT_CREDIT_BYTES
    assert sum(more.cost_bytes for more in feed.held) < INPUT_CREDIT_BYTES + 2 * MAX_MORE_BYTES
    feed.use(1)
    assert feed.has_room
    assert not feed.is_whole
    assert len(feed.held) == added - 1


def test_pieces_without_data_have_a_price_too() -> None:
    feed = InputFeed("a")
    while feed.has_room:
        feed.add(b"", "clear")
    assert len(feed.held) < 10_000


def test_a_file_is_copied_as_it_comes_and_no_longer_than_its_job_lasts() -> None:
    asyncio.run(_copies())


async def _copies() -> None:
    sent: list[More] = []
    writer, file = InputWriter("a", sent.append), File(b"head")
    writer.follow(file, 4, told=False)
    copying = asyncio.ensure_future(writer.copy())
    file.grow(bytes(2 * INPUT_CREDIT_BYTES))
    await asyncio.sleep(0)
    held = len(sent)
    assert 0 < held < 2 * INPUT_CREDIT_BYTES / MAX_MORE_BYTES
    writer.use(held)
    file.grow(b"", last=True)
    while not (sent[-1].last or copying.done()):
        await asyncio.sleep(0)
        writer.use(len(sent))
    assert b"".join(more.data.data for more in sent) == file.data[4:]
    writer.end()
    await copying


def test_a_writer_waits_for_room_and_no_longer_than_for_the_end() -> None:
    asyncio.run(_waits())


async def _waits() -> None:
    sent: list[More] = []
    writer = InputWriter("a", sent.append)
    writing = asyncio.ensure_future(writer.write(bytes(3 * INPUT_CREDIT_BYTES), last=True))
    await asyncio.sleep(0)
    held = len(sent)
    assert not writing.done()
    writer.use(held // 2)
    await asyncio.sleep(0)
    assert held < len(sent) < 2 * held
    assert [more.number for more in sent] == [*range(len(sent))]
    writer.end()
    await writing
    assert not any(more.last for more in sent)


def test_what_is_said_comes_behind_all_of_the_data() -> None:
    asyncio.run(_says())


async def _says() -> None:
    sent: list[More] = []
    writer = InputWriter("a", sent.append)
    await writer.write(bytes(MAX_MORE_BYTES + 1), "commit")
    await writer.write(b"", last=True)
    told = [(len(more.data), more.said, more.last) for more in sent]
    assert told == [(MAX_MORE_BYTES, None, False), (1, "commit", False), (0, None, True)]


def test_jobs_whose_input_is_not_known_are_not_suspected_for_each_other() -> None:
    one, other = (Job(id=name, model="m", input=STREAMED, deadline_at=0.0) for name in "ab")
    assert fingerprint(one) != fingerprint(other)


def test_a_recording_that_follows_its_job_is_known_by_how_it_begins_and_its_length() -> None:
    def asked(name: str, data: bytes, size: int) -> Job:
        file = SpeechInput(audio=Blob(data), streamed=True, request_bytes=size)
        return Job(id=name, model="m", input=file, deadline_at=0.0)

    first = fingerprint(asked("a", b"RIFF", 10))
    assert first == fingerprint(asked("b", b"RIFF", 10))
    assert first != fingerprint(asked("c", b"OggS", 10))
    assert first != fingerprint(asked("d", b"RIFF", 11))


# --- files on their way ---


class File:
    """One of which ``data`` has come."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.is_whole = False
        self.on_growth: Callable[[], None] = lambda: None

    @property
    def size(self) -> int:
        return len(self.data)

    async def read(self, at: int, size: int) -> bytes:
        return self.data[at : at + size]

    def grow(self, data: bytes, *, last: bool = False) -> None:
        self.data += data
        self.is_whole = last
        self.on_growth()


class Copied(Fed):
    """Clients whose files are on their way: each letter comes by itself, ``.`` is the end."""

    def __init__(self, *, told: bool, slots: int) -> None:
        super().__init__(slots)
        self._told = told
        self._files: dict[str, File] = {}

    def text(self, text: str) -> Input:
        return SpeechInput(audio=Blob(text.encode()), streamed=True)

    def uploads(self, name: str) -> None:
        writer, file = self.stream(name).input, File(b"head")
        assert writer is not None
        self._files[name] = file
        writer.follow(file, 4, told=self._told)

    def comes(self, name: str, data: str) -> None:
        self._files[name].grow(data.strip(".").encode(), last=data.endswith("."))
        self.goes_on(name)

    def goes_on(self, name: str) -> None:
        """Its task has a turn of the loop."""
        writer = self.stream(name).input
        assert writer is not None
        with pytest.raises(StopIteration):
            writer.fill().send(None)


def copied(*, told: bool = False, slots: int = 8) -> Copied:
    history = Copied(told=told, slots=slots)
    history.play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("uploads a", []),
        ("comes a x", ["piece 0 of a to w.1"]),
        ("uses a 1", []),
    )
    return history


def loses_its_worker(said: list[str]) -> list[Step]:
    return [("crash w.1", ["drain w.1"]), ("closed w.1", ["close w.1", *said])]


NEXT: list[Step] = [("start w.2", ["connect w.2"]), ("open w.2", ["send a to w.2, attempt 2"])]


def test_a_file_of_which_nothing_was_told_begins_anew_with_the_next_worker() -> None:
    copied().play(
        *loses_its_worker([]),
        *NEXT,
        ("goes_on a", ["piece 0 of a to w.2"]),
        ("comes a y.", ["piece 1 of a to w.2, the last"]),
        ("done a", ["a: done"]),
    )


def test_the_only_place_is_given_up_for_whoever_waits() -> None:
    copied(slots=1).play(
        ("wait 90", []),
        ("ask b", []),
        ("wait 1", ["cancel a at w.1", "a: request_timeout"]),
        ("failed a", ["send b to w.1"]),
    )


def test_an_upload_that_leaves_places_is_not_hurried() -> None:
    copied(slots=2).play(("wait 90", []), ("ask b", []), ("wait 1", []))


def test_one_whose_client_has_left_is_no_upload_any_more() -> None:
    """Its worker may not have said yet that it has dropped it."""
    history = copied(slots=2)
    spec = history.dispatcher.spec("m", "speech")
    assert not history.dispatcher.hears_early(spec, None)
    history.play(("leave a", ["cancel a at w.1"]))
    assert history.dispatcher.hears_early(spec, None)


def test_one_that_has_ended_is_not() -> None:
    copied(slots=1).play(
        ("comes a .", ["piece 1 of a to w.1, the last"]),
        ("wait 90", []),
        ("ask b", []),
        ("wait 1", []),
    )


def test_so_does_one_that_was_whole_when_its_worker_died() -> None:
    copied().play(
        ("comes a .", ["piece 1 of a to w.1, the last"]),
        *loses_its_worker([]),
        *NEXT,
        ("goes_on a", ["piece 0 of a to w.2, the last"]),
    )


def test_words_that_are_told_at_the_end_alone_are_no_hindrance() -> None:
    copied().play(("says a one", ["a: one"]), *loses_its_worker([]), *NEXT)


def test_one_whose_client_has_read_words_ends_with_one_error() -> None:
    copied(told=True).play(("says a one", ["a: one"]), *loses_its_worker(["a: worker_crashed"]))


def test_one_that_was_given_back_begins_anew_though_pieces_were_used() -> None:
    copied().play(("closing w.1", []), ("unbegun a", []), *NEXT)


def test_its_worker_may_die_so_often_and_no_more() -> None:
    history = copied().play(*loses_its_worker([]), *NEXT)
    history.play(
        ("crash w.2", ["drain w.2"]),
        ("closed w.2", ["close w.2", "a: poison_request"]),
    )


def test_a_file_has_its_time_from_its_end_on() -> None:
    history = copied()
    assert history.world.sent[0].deadline_at == math.inf
    history.play(
        ("wait 10000", []),
        ("comes a .", ["piece 1 of a to w.1, the last"]),
        ("wait 599", []),
        ("wait 2", ["cancel a at w.1", "a: deadline_exceeded"]),
    )


@pytest.mark.parametrize(
    ("slots", "uploads", "waiting", "rest_s", "early"),
    [
        (1, 0, 0, 5.0, True),  # it will soon be here
        (1, 0, 0, 500.0, False),
        (1, 0, 0, None, False),  # who knows
        (1, 1, 0, 5.0, False),
        (4, 1, 0, None, True),
        (4, 2, 0, 5.0, False),  # half of the places are for files that are here
        (4, 0, 1, 5.0, False),  # others wait
    ],
)
def test_which_files_are_heard_before_their_end(
    slots: int, uploads: int, waiting: int, rest_s: float | None, early: bool
) -> None:
    assert begins_early(slots, uploads, waiting, rest_s) is early


def test_files_on_their_way_are_counted() -> None:
    history = copied()
    spec = msgspec.structs.replace(SPEC, task="speech", slots=1)
    history.serve(spec)
    assert not history.dispatcher.hears_early(spec, 1.0)
    history.play(("comes a .", ["piece 1 of a to w.1, the last"]))
    assert history.dispatcher.hears_early(spec, 1.0)
