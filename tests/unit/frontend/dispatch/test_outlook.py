"""Where requests stand and what they are told of their turns, as histories of a dispatcher."""

from __future__ import annotations

from typing import Any

import msgspec

from frontend.dispatch.estimates.standing import Listening, Prefill, Standing
from tests.unit.frontend.dispatch.history import SPEC, History

ONE_AT_ONCE = msgspec.structs.replace(SPEC, slots=1, prefetch=0, queue_limit=9)


class Told(History):
    """One model with one slot, and what its requests are told."""

    def __init__(self, **spec: Any) -> None:
        super().__init__(msgspec.structs.replace(ONE_AT_ONCE, **spec))
        self.world.notes_demand = False

    def state(self, **changes: Any) -> None:
        self._set(self.states["m"], **changes)
        self.publish()

    def now(self, name: str) -> Standing | None:
        return self._streams[name].standing()

    def at_admission(self, name: str) -> tuple[int, float | None, float | None]:
        told = self._streams[name].told
        assert told is not None
        return told.position, told.start_s, told.end_s

    def measured(self) -> Told:
        """A request of four characters took two seconds."""
        self.play(
            ("start w.1", ["connect w.1"]),
            ("open w.1", []),
            ("ask x four", ["send x to w.1"]),
            ("wait 2", []),
            ("done x", ["x: done"]),
        )
        return self


def test_who_is_served_at_once_has_no_place_and_is_told_the_end() -> None:
    history = Told().measured()
    history.play(("ask a four", ["send a to w.1"]))
    assert history.at_admission("a") == (0, 0.0, 2.0)
    history.play(("wait 0.5", []))
    assert history.now("a") == Standing(state="running", position=0, start_s=0.0, end_s=1.5)


def test_who_waits_is_told_its_place_and_its_turn_and_later_what_has_become_of_them() -> None:
    history = Told().measured()
    history.play(
        ("ask a four", ["send a to w.1"]),
        ("ask b eightlong", []),
        ("ask c four", []),
    )
    assert history.at_admission("b") == (1, 2.0, 6.5)
    assert history.at_admission("c") == (2, 6.5, 8.5)
    history.play(("wait 2", []), ("done a", ["send b to w.1", "a: done"]), ("wait 1", []))
    assert history.now("c") == Standing(state="queued", position=1, start_s=3.5, end_s=5.5)


def test_a_place_is_told_though_nothing_was_measured() -> None:
    history = Told()
    history.play(
        ("start w.1", ["connect w.1"]),
        ("open w.1", []),
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
    )
    assert history.at_admission("b") == (1, None, None)


def test_a_load_is_waited_for_as_long_as_the_last_one_took() -> None:
    history = Told(load="on_demand")
    history.state(state="unloaded", load_s=8.0)
    history.play(("ask a", []))
    assert history.at_admission("a") == (1, 8.0, None)
    history.state(state="starting", load_s=8.0, load_began_at=1000.0, stage="importing")
    history.play(("wait 6", []))
    loads = Standing(state="loading", position=1, start_s=2.0, stage="importing")
    assert history.now("a") == loads


def test_a_load_behind_a_worker_that_leaves_begins_once_that_has_finished() -> None:
    """As after an unload by force, or where another model takes the place of a busy one."""
    history = Told(load="on_demand", slots=2).measured()
    history.play(("ask a four", ["send a to w.1"]), ("end w.1", ["drain w.1"]))
    history.state(state="draining", load_s=8.0)
    history.play(("wait 0.5", []), ("ask b four", []))
    assert history.at_admission("b")[:2] == (1, 9.5)


def test_a_load_that_fails_says_when_to_ask_again_by_what_loads_take() -> None:
    history = Told(load="on_demand")
    history.state(state="unloaded", load_s=8.0)
    history.play(("ask a", []))
    history.state(state="backoff", load_s=8.0, retry_after_s=4.0, reason="it crashed")
    history.play(("ask b", ["b: model_loading", "a: model_loading"]))
    assert (history.errors["a"].retry_after_s, history.errors["b"].retry_after_s) == (12.0, 12.0)


def test_who_waits_too_long_for_a_load_is_told_how_far_it_is() -> None:
    history = Told(load="on_demand")
    history.state(state="unloaded")
    history.play(("ask a", []))
    history.state(state="starting", load_s=80.0, load_began_at=1000.0, stage="warming up")
    history.play(("wait 61", ["a: model_loading"]))
    assert history.errors["a"].retry_after_s == 19.0
    assert "(stage: warming up)" in history.errors["a"].message


def test_a_line_of_a_batch_is_told_nothing() -> None:
    history = Told().measured()
    history.play(("batch a", []), ("wait 1", ["send a to w.1"]))
    assert history.now("a") is None


def test_how_full_a_queue_is_says_when_one_would_be_served_that_came_now() -> None:
    history = Told().measured()
    assert history.dispatcher.queues()["m"]["eta_s"] == 0.0
    history.play(("ask a four", ["send a to w.1"]), ("ask b four", []))
    assert history.dispatcher.queues()["m"]["eta_s"] == 4.0


def prefill(history: Told, name: str) -> Prefill | None:
    standing = history.now(name)
    return standing.prefill if standing else None


def test_who_runs_is_told_how_far_its_prompt_is_read_until_its_answer_begins() -> None:
    history = Told()
    history.play(
        ("start w.1", ["connect w.1"]),
        ("open w.1", []),
        ("ask a", ["send a to w.1"]),
    )
    assert prefill(history, "a") is None
    history.play(("reads a 1024 8192 7", []))
    assert prefill(history, "a") == Prefill(read_tokens=1024, prompt_tokens=8192, left_s=7.0)
    history.play(("wait 2", []))  # nothing new is known, but that time goes by
    assert prefill(history, "a") == Prefill(read_tokens=1024, prompt_tokens=8192, left_s=5.0)
    history.play(("reads a 4096 8192 3", []), ("wait 9", []))
    assert prefill(history, "a") == Prefill(read_tokens=4096, prompt_tokens=8192, left_s=0.0)
    history.play(("says a hello", ["a: hello"]))
    assert prefill(history, "a") is None


def test_how_far_a_prompt_was_read_is_nothing_to_who_begins_anew() -> None:
    """The replica of another box that read it has died."""
    history = Told()
    history.play(
        ("start w.1", ["connect w.1"]),
        ("open w.1", []),
        ("ask a", ["send a to w.1"]),
        ("reads a 1024 8192 7", []),
        ("unbegun a", ["send a to w.1, attempt 2"]),
    )
    assert prefill(history, "a") is None


def test_how_far_a_recording_is_heard_is_told_while_its_words_come() -> None:
    history = Told()
    history.play(
        ("start w.1", ["connect w.1"]),
        ("open w.1", []),
        ("ask a", ["send a to w.1"]),
        ("hears a 60 600 9", []),
        ("says a hello", ["a: hello"]),
        ("wait 2", []),
    )
    standing = history.now("a")
    assert standing is not None
    assert standing.listening == Listening(heard_s=60.0, audio_s=600.0, left_s=7.0)


def test_how_far_a_prompt_is_read_is_nobodys_once_its_client_has_gone() -> None:
    history = Told()
    history.play(
        ("start w.1", ["connect w.1"]),
        ("open w.1", []),
        ("ask a", ["send a to w.1"]),
        ("leave a", ["cancel a at w.1"]),
        ("reads a 1024 8192 7", []),
    )
