"""Whose answer goes on with another worker, and behind what: as a decision, and as histories."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from frontend.dispatch.crashes.migration import Emitted, may_go_on
from frontend.http.waiting import comment
from ipc.messages.blob import Blob
from ipc.messages.errors import WorkerCrashed
from ipc.messages.events import ChatResult, Delta, Done, Failed, Reasoning, Usage
from ipc.messages.jobs import (
    ChatInput,
    EmbedInput,
    Image,
    Input,
    Json,
    Message,
    Sampling,
    Text,
    Tool,
)
from ipc.messages.spec import Cluster, Loaded, Spec
from tests.unit.frontend.dispatch.history import SPEC, History, Step

CHATS = msgspec.structs.replace(SPEC, task="chat")


def asked(**changes: Any) -> ChatInput:
    sampling = Sampling(max_tokens=9, **changes.pop("sampling", {}))
    return ChatInput(messages=[Message("user", "hi")], sampling=sampling, **changes)


# --- who may ---


@pytest.mark.parametrize(
    "each",
    [
        asked(),
        asked(sampling={"temperature": 0.0, "stop": ["x"], "seed": 3, "min_tokens": 2}),
        asked(tools=[Tool(name="look")]),
        asked(tools=[Tool(name="look", strict=True)], must_call=True),
        asked(form=Json(schema="{}")),
        asked(sampling={"n": 2, "logprobs": 1}),
        asked(reasoning_tokens=5),
        ChatInput(prompts=[Text("once")], sampling=Sampling(max_tokens=9), echo=True),
        ChatInput(prompts=[Text("a"), Text("b")], sampling=Sampling(max_tokens=9)),
        ChatInput(
            messages=[Message("user", [Image(Blob(b"png"))])], sampling=Sampling(max_tokens=9)
        ),
    ],
)
def test_what_follows_from_its_beginning_may_go_on(each: Input) -> None:
    assert may_go_on(each)


def test_what_does_not_is_not_tried() -> None:
    assert not may_go_on(EmbedInput(texts=["hi"]))


def test_all_tokens_count_those_of_markup_too() -> None:
    emitted = Emitted()
    emitted.note(Reasoning("a", "so", 2, ids=[1, 2]))
    emitted.note(Delta("a", "yes", 1, ids=[3]))
    emitted.note(Delta("a", " and", 0))
    assert (emitted.tokens, emitted.whole) == ({0: [1, 2, 3]}, True)


def test_each_choice_has_its_own_and_one_that_repeats_its_prompt_has_begun() -> None:
    emitted = Emitted()
    emitted.note(Delta("a", "Once", 0))
    emitted.note(Delta("a", "yes", 1, choice=2, ids=[3]))
    assert (emitted.tokens, emitted.count, emitted.whole) == ({0: [], 2: [3]}, 1, True)


def test_without_all_of_them_nobody_can_go_on() -> None:
    emitted = Emitted()
    emitted.note(Delta("a", "yes", 2, ids=[3]))
    assert not emitted.whole


# --- what becomes of them ---


class Chats(History):
    """Clients ask for chats, of an engine that goes on with what another has written."""

    def __init__(self, *, goes_on: bool = True, spec: Spec = CHATS) -> None:
        super().__init__(spec)
        loaded = Loaded(device="cpu", goes_on=goes_on)
        self.states["m"] = msgspec.structs.replace(self.states["m"], loaded=loaded)

    def text(self, text: str) -> Input:
        return ChatInput(messages=[Message("user", text)], sampling=Sampling(max_tokens=9))

    def writes(self, job: str, *tokens: str) -> None:
        """A worker writes ``tokens``, in one piece."""
        text = "".join(f"<{token}>" for token in tokens)
        self._events(Delta(job, text, len(tokens), ids=[int(token) for token in tokens]))

    def breaks(self, job: str) -> None:
        """A worker that lives has lost the server that had it."""
        self._events(Failed(job=job, error=WorkerCrashed("gone").info(), broke_off=True))

    def ends(self, job: str) -> None:
        self._events(Done(job, ChatResult(finish="stop", usage=Usage())))


ONE: list[Step] = [("start w.1*2", ["connect w.1"]), ("open w.1", [])]
CRASH: list[Step] = [("crash w.1", ["drain w.1"])]
NEXT: list[Step] = [("start w.2*2", ["connect w.2"])]


def test_an_answer_goes_on_with_the_next_worker_behind_what_its_client_has() -> None:
    history = Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a 5", ["a: <5>"]),
        ("writes a 6 7", ["a: <6><7>"]),
        *CRASH,
        ("closed w.1", ["close w.1"]),
        *NEXT,
        ("open w.2", ["send a to w.2, attempt 2"]),
    )
    assert history.world.sent[-1].written == {0: [5, 6, 7]}
    history.play(("writes a 8", ["a: <8>"]), ("ends a", ["a: done"]))
    assert history.budget.held_bytes == 0


def test_it_goes_on_in_front_of_those_that_wait_and_in_the_order_in_which_they_came() -> None:
    Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", ["send b to w.1"]),
        ("ask c", []),
        ("writes a 5", ["a: <5>"]),
        ("writes b 5", ["b: <5>"]),
        ("end w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1"]),
        ("start w.2*3", ["connect w.2"]),
        (
            "open w.2",
            ["send a to w.2, attempt 2", "send b to w.2, attempt 2", "send c to w.2"],
        ),
    )


def test_after_a_crash_it_goes_on_alone_since_it_may_have_been_the_cause() -> None:
    Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", ["send b to w.1"]),
        ("writes a 5", ["a: <5>"]),
        ("writes b 5", ["b: <5>"]),
        *CRASH,
        ("closed w.1", ["close w.1"]),
        *NEXT,
        ("open w.2", ["send a to w.2, attempt 2"]),
        ("ends a", ["send b to w.2, attempt 2", "a: done"]),
    )


def test_what_was_sent_before_the_worker_died_is_read_first() -> None:
    history = Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        *CRASH,
        ("writes a 5", ["a: <5>"]),  # it was on its way
        ("closed w.1", ["close w.1"]),
        *NEXT,
        ("open w.2", ["send a to w.2, attempt 2"]),
    )
    assert history.world.sent[-1].written == {0: [5]}


def test_one_that_had_not_begun_is_refused_for_its_client_to_repeat() -> None:
    Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        *CRASH,
        ("closed w.1", ["close w.1", "a: worker_crashed"]),
    )


@pytest.mark.parametrize(
    "history", [Chats(goes_on=False), Chats(spec=msgspec.structs.replace(CHATS, migrate=False))]
)
def test_it_ends_where_the_engine_cannot_or_the_operator_does_not_want_it(history: Chats) -> None:
    history.play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a 5", ["a: <5>"]),
        *CRASH,
        ("closed w.1", ["close w.1", "a: worker_crashed"]),
    )


def test_nobody_goes_on_behind_a_worker_of_whose_words_some_are_lost() -> None:
    Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a 5", ["a: <5>"]),
        ("broken w.1 it cannot be read", ["replace w.1: it cannot be read"]),
        ("writes a 7", ["a: <7>"]),  # there was another one before it
        *CRASH,
        ("closed w.1", ["close w.1", "a: worker_crashed"]),
    )


def test_one_whose_client_has_left_is_forgotten() -> None:
    history = Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a 5", ["a: <5>"]),
        ("leave a", ["cancel a at w.1"]),
        *CRASH,
        ("closed w.1", ["close w.1"]),
    )
    assert history.budget.held_bytes == 0


def test_a_client_may_leave_while_it_waits_for_the_next_worker() -> None:
    history = Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a 5", ["a: <5>"]),
        *CRASH,
        ("closed w.1", ["close w.1"]),
        ("leave a", []),
        *NEXT,
        ("open w.2", []),
    )
    assert history.budget.held_bytes == 0


def test_it_waits_no_longer_than_any_other() -> None:
    Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("wait 120", []),
        ("writes a 5", ["a: <5>"]),
        *CRASH,
        ("closed w.1", ["close w.1"]),
        ("wait 59", []),
        ("wait 2", ["a: queue_timeout"]),
    )


def test_a_request_that_brings_down_worker_after_worker_is_found_out() -> None:
    history = Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a 5", ["a: <5>"]),
        *CRASH,
        ("closed w.1", ["close w.1"]),
        *NEXT,
        ("open w.2", ["send a to w.2, attempt 2"]),
        ("writes a 6", ["a: <6>"]),
        ("crash w.2", ["drain w.2"]),
        ("closed w.2", ["close w.2", "a: poison_request"]),
    )
    history.play(("ask again a", ["again: poison_request"]))


def test_no_more_than_three_workers_are_tried() -> None:
    """All of them killed from outside, which proves nothing against the request."""
    history = Chats().play(*ONE, ("ask a", ["send a to w.1"]))
    for number in (1, 2):
        history.play(
            (f"writes a {number}", [f"a: <{number}>"]),
            (f"end w.{number}", [f"drain w.{number}"]),
            (f"closed w.{number}", [f"close w.{number}"]),
            (f"start w.{number + 1}*2", [f"connect w.{number + 1}"]),
            (f"open w.{number + 1}", [f"send a to w.{number + 1}, attempt {number + 1}"]),
        )
    assert history.world.sent[-1].written == {0: [1, 2]}
    history.play(
        ("writes a 3", ["a: <3>"]),
        ("end w.3", ["drain w.3"]),
        ("closed w.3", ["close w.3", "a: worker_crashed"]),
    )
    assert isinstance(history.errors["a"], WorkerCrashed)


def test_the_attempt_of_the_worker_that_died_is_remembered() -> None:
    history = Chats().play(*ONE, ("ask a", ["send a to w.1"]), ("wait 3", []))
    stream = history.stream("a")
    history.play(
        ("writes a 5", ["a: <5>"]),
        *CRASH,
        ("closed w.1", ["close w.1"]),
        ("wait 4", []),
        *NEXT,
        ("open w.2", ["send a to w.2, attempt 2"]),
    )
    (died,) = stream.earlier
    assert (died.began_at, died.ended_at, died.ended) == (1000.0, 1003.0, "worker_died")
    assert (stream.dispatched_at, stream.resumed_at) == (1000.0, 1007.0)


def test_it_is_told_how_it_waits_for_the_next_worker_and_how_that_reads() -> None:
    history = Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a 5", ["a: <5>"]),
        *CRASH,
        ("closed w.1", ["close w.1"]),
    )
    stream = history.stream("a")
    assert comment(stream.standing()).startswith("loading position=1")
    history.play(
        *NEXT,
        ("open w.2", ["send a to w.2, attempt 2"]),
        ("reads a 10 40 3.0", []),
    )
    assert comment(stream.standing()) == "prefill 10/40 eta=3.0s"
    history.play(("writes a 6", ["a: <6>"]))
    assert comment(stream.standing()) == ""


# --- where the worker lives, and the server behind it is gone ---


def test_an_answer_that_broke_off_goes_on_with_the_same_worker() -> None:
    history = Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("writes a 5 6", ["a: <5><6>"]),
        ("breaks a", ["send a to w.1, attempt 2"]),
    )
    assert history.world.sent[-1].written == {0: [5, 6]}
    history.play(("writes a 7", ["a: <7>"]), ("ends a", ["a: done"]))
    assert history.budget.held_bytes == 0


def test_it_is_not_tried_for_ever_nor_where_nothing_has_come() -> None:
    Chats().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("breaks a", ["a: worker_crashed"]),
        ("ask b", ["send b to w.1"]),
        ("writes b 5", ["b: <5>"]),
        ("breaks b", ["send b to w.1, attempt 2"]),
        ("breaks b", ["send b to w.1, attempt 3"]),
        ("breaks b", ["b: worker_crashed"]),
    )


def test_what_another_server_has_written_is_gone_on_with_as_well() -> None:
    assert Emitted.of({1: [4]}).tokens == {1: [4]}


def test_jobs_of_a_cluster_run_side_by_side_whatever_they_are_suspected_of() -> None:
    """One worker stands for all replicas: nothing would be alone with it."""
    cluster = Cluster(served=CHATS, folder="", models_dir="")
    Chats(spec=msgspec.structs.replace(CHATS, cluster=cluster)).play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", ["send b to w.1"]),
        ("writes a 5", ["a: <5>"]),
        ("writes b 5", ["b: <5>"]),
        *CRASH,
        ("closed w.1", ["close w.1"]),
        *NEXT,
        ("open w.2", ["send a to w.2, attempt 2", "send b to w.2, attempt 2"]),
    )
