"""The chat core over a token engine that a script plays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from ipc.messages.errors import ContextTooLong, InvalidRequest, OutOfMemory
from ipc.messages.events import ChatResult, Delta, Done, Event, Failed, Prefilled, Reasoning, Usage
from ipc.messages.jobs import ChatInput, EmbedInput, Fill, Job, Message, Sampling, Text, Tokens
from ipc.messages.spec import Loaded, Spec
from worker.chat.dialects.dialect import Dialect
from worker.chat.dialects.generic import NATIVE
from worker.chat.dialects.model_dialect import ModelDialect
from worker.chat.engine import TokenChat
from worker.chat.grammar import AnyText
from worker.chat.parsing.reading import Thinking
from worker.chat.prompt import NOTHING, Offered, Prompt
from worker.chat.raw import RawLayout
from worker.chat.token_engine import TokenModel, TokenRequest, Written
from worker.chat.vocabulary import Control, Vocabulary
from worker.engine import Stage

SPEC = Spec(name="m", task="chat", engine="x", path="", slots=2, max_prompt_tokens=8)
END = 2
DEADLINE_S = 20.0


class Letters:
    """Prompts of a token for each letter; a message that is ``broken`` cannot be laid out."""

    vocabulary = Vocabulary(
        [b"a", b" b", b"<end>"],
        {"<end>": Control(END)},
        lambda texts: [[0] * len(text) for text in texts],
    )
    raw = RawLayout(vocabulary)
    dialect: Dialect = ModelDialect(NATIVE)

    def use_dialect(self, wanted: str) -> None:
        raise AssertionError(wanted)

    def lay_out(self, messages: Sequence[Message], offered: Offered = NOTHING) -> Prompt:  # noqa: ARG002
        text = "".join(message.text for message in messages)
        if text == "broken":
            raise RuntimeError("a template has failed")
        return Prompt([0] * len(text))


class Scripted:
    """A `TokenEngine` with room for ``room`` requests. Each step is one of ``steps``."""

    worn = ""

    def __init__(
        self,
        *steps: list[Written],
        room: int = 9,
        prompts_apart: bool = False,
        keeps_prefixes: bool = False,
    ) -> None:
        self.keeps_prefixes = keeps_prefixes
        self.steps = list(steps)
        self.room = room
        self.prompts_apart = prompts_apart
        self.begun: list[TokenRequest] = []
        self.dropped: list[str] = []
        self.closed = False

    def load(self, spec: Spec, stage: Stage) -> TokenModel:
        stage(spec.name)
        loaded = Loaded(device="cpu", context_tokens=10)
        return TokenModel(
            loaded, Letters(), frozenset({END}), 10, self.prompts_apart, self.keeps_prefixes
        )

    def begin(self, request: TokenRequest) -> bool:
        if len(self.begun) - len(self.dropped) >= self.room:
            return False
        self.begun.append(request)
        return True

    def step(self) -> list[Written]:
        return self.steps.pop(0) if self.steps else []

    def drop(self, request_id: str) -> None:
        self.dropped.append(request_id)

    def close(self) -> None:
        self.closed = True


def chat(scripted: Scripted) -> TokenChat:
    one = TokenChat(scripted)
    one.load(SPEC, lambda _stage: None)
    return one


def job(name: str, text: str = "hi", max_tokens: int = 100) -> Job:
    asked = ChatInput(messages=[Message("user", text)], sampling=Sampling(max_tokens=max_tokens))
    return Job(id=name, model="m", input=asked, deadline_at=0.0)


def done(name: str, tokens: int, finish: str = "stop") -> Done:
    usage = Usage(prompt_tokens=2, completion_tokens=tokens)
    assert finish in ("stop", "length")
    return Done(name, ChatResult(finish="stop" if finish == "stop" else "length", usage=usage))


def test_tokens_of_a_step_are_events_of_their_jobs() -> None:
    scripted = Scripted(
        [Written("a", (0,)), Written("b", (0, 1))], [Written("b", (END,)), Written("a")]
    )
    one = chat(scripted)
    assert one.admit(job("a"))
    assert one.admit(job("b"))
    assert one.step() == [
        Delta("a", "a", ids=[0], prompt_tokens=2),
        Delta("b", "a b", 2, ids=[0, 1], prompt_tokens=2),
    ]
    assert one.step() == [done("b", 3)]
    assert scripted.dropped == ["b"]
    assert one.wait_s() == 0.0


def test_the_first_piece_of_an_answer_tells_what_its_prompt_took() -> None:
    scripted = Scripted(
        [Written("a", cached_tokens=3)], [Written("a", (0,))], [Written("a", (0,), "stop")]
    )
    one = chat(scripted)
    assert one.admit(job("a", "four"))
    *pieces, _ = [event for _ in range(3) for event in one.step()]
    assert pieces == [
        Delta("a", "a", ids=[0], prompt_tokens=4, cached_tokens=3),
        Delta("a", "a", ids=[0]),
    ]


def figures(events: Sequence[Event]) -> list[tuple[str, int, int]]:
    return [
        (event.job, event.read_tokens, event.prompt_tokens)
        for event in events
        if isinstance(event, Prefilled)
    ]


def test_a_prompt_that_is_read_bit_by_bit_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.prefill.PERIOD_S", 0.0)
    one = chat(
        Scripted(
            [Written("a", cached_tokens=1, read_tokens=1)],
            [Written("a", read_tokens=2)],
            [Written("a", read_tokens=3)],
            [Written("a", (0,), "stop")],
        )
    )
    assert one.admit(job("a", "four"))
    steps = [one.step() for _ in range(4)]
    assert [figures(events) for events in steps] == [[], [("a", 2, 4)], [("a", 3, 4)], []]
    assert steps[3][0] == Delta("a", "a", ids=[0], prompt_tokens=4, cached_tokens=1)


def test_of_several_answers_to_a_prompt_the_first_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.prefill.PERIOD_S", 0.0)
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(several("a", 2))
    ids = [request.id for request in scripted.begun]
    scripted.steps = [[Written(name, read_tokens=1) for name in ids]]
    assert figures(one.step()) == [("a", 1, 2)]


def test_a_prompt_that_is_read_at_once_is_not_told_of() -> None:
    one = chat(Scripted([Written("a", read_tokens=2)], [Written("a", (0,))]))
    assert one.admit(job("a", "four"))
    assert figures([*one.step(), *one.step()]) == []


def test_the_end_tells_which_stop_text_it_was() -> None:
    one = chat(Scripted([Written("a", (0, 1))]))
    asked = ChatInput(
        messages=[Message("user", "hi")], sampling=Sampling(max_tokens=9, stop=["x", "b"])
    )
    assert one.admit(Job(id="a", model="m", input=asked, deadline_at=0.0))
    *_, end = one.step()
    usage = Usage(prompt_tokens=2, completion_tokens=2)
    assert end == Done("a", ChatResult(finish="stop", usage=usage, stop_text="b"))


def test_a_request_has_the_prompt_and_what_room_it_leaves() -> None:
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(job("a", "four"))
    assert one.admit(job("b", "four", max_tokens=3))
    assert [(len(made.prompt.tokens), made.limit) for made in scripted.begun] == [(4, 6), (4, 3)]
    assert {made.grammar for made in scripted.begun} == {AnyText()}


def test_the_last_token_of_its_limit_ends_an_answer() -> None:
    one = chat(Scripted([Written("a", (0,))]))
    assert one.admit(job("a", max_tokens=1))
    assert one.step() == [Delta("a", "a", ids=[0], prompt_tokens=2), done("a", 1, "length")]
    assert one.wait_s() is None


def test_no_more_are_admitted_than_there_are_slots_or_room() -> None:
    scripted = Scripted()
    one = chat(scripted)
    assert [one.admit(job(name)) for name in "abc"] == [True, True, False]
    one.drop("a")
    assert one.admit(job("c"))
    full = chat(Scripted(room=1))
    assert [full.admit(job(name)) for name in "ab"] == [True, False]


@pytest.mark.parametrize("prompts_apart", [False, True])
def test_a_job_that_cannot_be_served_is_refused_before_it_has_begun(prompts_apart: bool) -> None:
    scripted = Scripted(prompts_apart=prompts_apart)
    one = chat(scripted)
    assert isinstance(refusal(one, job("a", "123456789")), ContextTooLong)
    other = Job(id="b", model="m", input=EmbedInput(texts=["x"]), deadline_at=0.0)
    assert isinstance(refusal(one, other), InvalidRequest)
    assert scripted.begun == []
    assert one.wait_s() is None


def refusal(one: TokenChat, asked: Job) -> Exception:
    """What refuses it, at once or in a step."""
    try:
        assert one.admit(asked)
    except (ContextTooLong, InvalidRequest) as error:
        return error
    (failed,) = stepped(one)
    assert isinstance(failed, Failed)
    return {"context_length_exceeded": ContextTooLong, "invalid_value": InvalidRequest}[
        failed.error.code
    ](failed.error.message)


def stepped(one: TokenChat) -> list[Event]:
    """The first events that come."""
    give_up_at = time.monotonic() + DEADLINE_S
    while not (events := one.step()):
        assert time.monotonic() < give_up_at
    return events


def until_begun(one: TokenChat, scripted: Scripted, names: list[str]) -> None:
    give_up_at = time.monotonic() + DEADLINE_S
    while [made.id for made in scripted.begun] != names:
        assert time.monotonic() < give_up_at
        one.step()


def test_prompts_laid_out_apart_begin_in_the_order_they_came() -> None:
    scripted = Scripted([Written("a", (0,)), Written("b", (0,))], prompts_apart=True)
    one = chat(scripted)
    assert [one.admit(job(name)) for name in "abc"] == [True, True, False]
    until_begun(one, scripted, ["a", "b"])


def test_a_prompt_waits_for_room_and_for_those_before_it() -> None:
    scripted = Scripted([Written("a", (END,))], room=1, prompts_apart=True)
    one = chat(scripted)
    assert one.admit(job("a"))
    assert one.admit(job("b"))
    assert [event.job for event in stepped(one)] == ["a"]
    until_begun(one, scripted, ["a", "b"])


def test_a_prompt_that_breaks_the_layout_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    scripted = Scripted([], prompts_apart=True)
    one = chat(scripted)
    assert one.admit(job("a", "broken"))
    assert one.admit(job("b"))
    (failed,) = stepped(one)
    assert isinstance(failed, Failed)
    assert (failed.job, failed.error.code) == ("a", "internal_error")
    assert "work_apart_failed" in caplog.messages


def test_a_job_dropped_before_it_has_begun_never_begins() -> None:
    scripted = Scripted(prompts_apart=True)
    one = chat(scripted)
    assert one.admit(job("a"))
    one.drop("a")
    assert one.wait_s() is None
    assert one.step() == []
    assert scripted.begun == []
    assert scripted.dropped == []


def test_an_error_of_the_engine_ends_that_answer() -> None:
    full = OutOfMemory("no room for keys and values")
    scripted = Scripted([Written("a", error=full), Written("b", (0,))])
    one = chat(scripted)
    assert one.admit(job("a"))
    assert one.admit(job("b"))
    assert one.step() == [
        Failed(job="a", error=full.info()),
        Delta("b", "a", ids=[0], prompt_tokens=2),
    ]
    assert scripted.dropped == ["a"]


def test_tokens_that_come_after_the_end_are_nobodys() -> None:
    scripted = Scripted([Written("a", (END,)), Written("a", (0,))], [Written("b", (0,))])
    one = chat(scripted)
    assert one.admit(job("a"))
    assert one.admit(job("b"))
    assert one.step() == [done("a", 1)]
    one.drop("b")
    assert one.step() == []


class Refusing(Scripted):
    """One that cannot take the request ``b#1``, and says so once there is room for it."""

    def begin(self, request: TokenRequest) -> bool:
        if request.id == "b#1" and len(self.begun) - len(self.dropped) < self.room:
            raise InvalidRequest("the library cannot do that")
        return super().begin(request)


@pytest.mark.parametrize("prompts_apart", [False, True])
def test_a_job_of_which_a_part_cannot_begin_leaves_nothing_behind(prompts_apart: bool) -> None:
    scripted = Refusing(prompts_apart=prompts_apart)
    one = chat(scripted)
    assert isinstance(refusal(one, several("b", 2)), InvalidRequest)
    assert scripted.dropped == ["b"]
    assert one.wait_s() is None


def test_a_part_that_cannot_begin_later_ends_its_job_alone() -> None:
    scripted = Refusing([Written("a", (END,))], [Written("b", (0,))])
    one = chat(scripted)
    assert one.admit(job("a"))
    assert not one.admit(several("b", 2))
    scripted.room = 1
    assert one.step() == [done("a", 1)]
    assert one.admit(several("b", 2))
    scripted.room = 9
    (failed,) = one.step()
    assert isinstance(failed, Failed)
    assert failed.job == "b"
    assert one.wait_s() is None


def test_closing_drops_what_is_running() -> None:
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(job("a"))
    one.close()
    assert (scripted.dropped, scripted.closed) == (["a"], True)


def several(name: str, n: int, temperature: float = 1.0, **asked: Any) -> Job:
    sampling = Sampling(max_tokens=2, n=n, temperature=temperature, seed=7)
    messages = [] if "prompts" in asked else [Message("user", "hi")]
    wanted = ChatInput(messages=messages, sampling=sampling, **asked)
    return Job(id=name, model="m", input=wanted, deadline_at=0.0)


def test_each_choice_is_a_request_with_a_seed_of_its_own() -> None:
    scripted = Scripted()
    assert chat(scripted).admit(several("a", 2))
    assert [(made.id, made.choice, made.sampling.seed) for made in scripted.begun] == [
        ("a", 0, 7),
        ("a#1", 1, 8),
    ]


def test_choices_take_slots_and_those_without_one_begin_later() -> None:
    scripted = Scripted([Written("a", (END,))], [Written("a#1", (0,)), Written("a#2", (0, 0))])
    one = chat(scripted)
    assert one.admit(several("a", 3))
    assert not one.admit(job("b"))
    assert one.step() == []
    assert [made.id for made in scripted.begun] == ["a", "a#1"]
    assert one.step() == [
        Delta("a", "a", 1, choice=1, ids=[0], prompt_tokens=2),
        Delta("a", "aa", 2, choice=2, ids=[0, 0], prompt_tokens=2),
    ]
    assert [made.id for made in scripted.begun] == ["a", "a#1", "a#2"]


def test_one_end_tells_of_all_choices_and_counts_the_prompt_once() -> None:
    scripted = Scripted([Written("a#1", (0, 0)), Written("a", (0, END))])
    one = chat(scripted)
    assert one.admit(several("a", 2))
    *_, end = one.step()
    usage = Usage(prompt_tokens=2, completion_tokens=4)
    assert end == Done("a", ChatResult(finish="stop", usage=usage, others=["length"]))
    assert one.wait_s() is None


def test_greedy_choices_are_written_once_and_told_for_each() -> None:
    scripted = Scripted([Written("a", (0, END))])
    one = chat(scripted)
    assert one.admit(several("a", 3, temperature=0.0))
    usage = Usage(prompt_tokens=2, completion_tokens=6)
    assert one.step() == [
        *(Delta("a", "a", 1, choice=choice, ids=[0], prompt_tokens=2) for choice in range(3)),
        Done("a", ChatResult(finish="stop", usage=usage, others=["stop", "stop"])),
    ]
    assert len(scripted.begun) == 1


def test_every_prompt_has_choices_of_its_own() -> None:
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(several("a", 1, prompts=[Tokens(ids=[0]), Tokens(ids=[0, 1])]))
    assert [(made.choice, made.prompt.tokens) for made in scripted.begun] == [
        (0, [0]),
        (1, [0, 1]),
    ]


def test_dropping_a_job_drops_all_its_choices() -> None:
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(several("a", 3))
    one.drop("a")
    assert scripted.dropped == ["a", "a#1"]
    assert one.wait_s() is None


def test_an_answer_may_repeat_its_prompt_first() -> None:
    scripted = Scripted([Written("a#1", (0,)), Written("a", (END,))], [Written("a#1", (END,))])
    one = chat(scripted)
    prompts = [Text("aa"), Tokens(ids=[0, 1, END])]
    assert one.admit(several("a", 1, prompts=prompts, echo=True))
    assert one.step() == [
        Delta("a", "a b", 0, choice=1, prompt_tokens=3),
        Delta("a", "a", 1, choice=1, ids=[0]),
        Delta("a", "aa", 0, prompt_tokens=2),
    ]
    (end,) = one.step()
    assert isinstance(end, Done)
    assert isinstance(end.result, ChatResult)
    assert end.result.usage == Usage(prompt_tokens=5, completion_tokens=3)


def test_what_answers_a_prompt_without_a_template_is_text() -> None:
    scripted = Scripted([Written("a", (0,))])
    one = chat(scripted)
    one.prompts.dialect = ModelDialect(NATIVE, thinking=Thinking("a", "b", "b"))  # type: ignore[misc]
    assert one.admit(several("a", 1, prompts=[Tokens(ids=[0])]))
    assert one.step() == [Delta("a", "a", 1, ids=[0], prompt_tokens=1)]


# A model of which ``a`` begins its reasoning, and ``b`` ends it.
THINKS = ModelDialect(NATIVE, thinking=Thinking("a", "b", "b"))


def thinker(limit: int, max_tokens: int = 8) -> Job:
    """A job whose answer may have so many tokens, and think for ``limit`` of them."""
    wanted = ChatInput(
        messages=[Message("user", "hi")],
        sampling=Sampling(max_tokens=max_tokens),
        reasoning_tokens=limit,
    )
    return Job(id="a", model="m", input=wanted, deadline_at=0.0)


def test_who_has_thought_enough_goes_on_with_the_answer() -> None:
    scripted = Scripted(
        [Written("a", (0, 0), cached_tokens=1)],
        [Written("a", (0,)), Written("a", (0,))],
        [Written("a+", (0,), cached_tokens=4), Written("a", (0,))],
        [Written("a+", (END,))],
    )
    one = chat(scripted)
    one.prompts.dialect = THINKS  # type: ignore[misc]
    assert one.admit(thinker(3))
    events = [event for _ in range(5) for event in one.step()]
    thoughts = [event for event in events if isinstance(event, Reasoning)]
    assert "".join(event.text for event in thoughts) == "aa"
    first, rest = scripted.begun
    # The marker, two thoughts, and the end of the reasoning, which is a single token.
    assert rest.prompt.tokens == [*first.prompt.tokens, 0, 0, 0, 0]
    assert rest.limit == first.limit - 4
    assert scripted.dropped == ["a", "a+"]
    assert events[-2] == Delta("a", "a", 2, ids=[0, 0])
    assert events[-1] == Done(
        "a",
        ChatResult(
            finish="stop",
            usage=Usage(prompt_tokens=2, completion_tokens=6, reasoning_tokens=3, cached_tokens=1),
        ),
    )


def test_it_thinks_no_longer_where_a_step_brings_several_tokens() -> None:
    """As prompt lookup does: what the last of them say is not part of the answer."""
    scripted = Scripted(
        [Written("a", (0, 0, 0, 0, 0), cached_tokens=1, guessed=4, accepted=4)],
        [Written("a+", (0,), cached_tokens=4)],
        [Written("a+", (END,))],
    )
    one = chat(scripted)
    one.prompts.dialect = THINKS  # type: ignore[misc]
    assert one.admit(thinker(3))
    events = [event for _ in range(4) for event in one.step()]
    thoughts = [event for event in events if isinstance(event, Reasoning)]
    assert "".join(event.text for event in thoughts) == "aa"
    first, rest = scripted.begun
    assert rest.prompt.tokens == [*first.prompt.tokens, 0, 0, 0, 0]
    assert events[-1] == Done(
        "a",
        ChatResult(
            finish="stop",
            usage=Usage(
                prompt_tokens=2,
                completion_tokens=6,
                reasoning_tokens=3,
                cached_tokens=1,
                guessed_tokens=4,
                accepted_tokens=4,
            ),
        ),
    )


def test_tokens_behind_the_reasoning_are_not_counted_as_its_own() -> None:
    """Whether a step brings its end and what follows, or each of them has a step of its own."""

    def usage(*steps: list[Written]) -> Usage:
        one = chat(Scripted(*steps))
        one.prompts.dialect = THINKS  # type: ignore[misc]
        assert one.admit(thinker(8))
        done = [event for _ in range(len(steps) + 1) for event in one.step()][-1]
        assert isinstance(done, Done)
        assert isinstance(done.result, ChatResult)
        return done.result.usage

    begun, rest = [Written("a", (0, 0))], (0, 1, 0, 0, END)
    single = usage(begun, *([Written("a", (token,))] for token in rest))
    assert (single.completion_tokens, single.reasoning_tokens) == (7, 3)
    assert usage(begun, [Written("a", rest)]) == single


def test_the_rest_of_an_answer_waits_for_room() -> None:
    scripted = Scripted([Written("a", (0, 0))], [], [], [Written("a+", (END,))])
    one = chat(scripted)
    one.prompts.dialect = THINKS  # type: ignore[misc]
    assert one.admit(thinker(1))
    one.step()
    scripted.room = 0
    one.step()
    assert len(scripted.begun) == 1
    scripted.room = 9
    one.step()
    assert [request.id for request in scripted.begun] == ["a", "a+"]
    assert isinstance(one.step()[-1], Done)


def test_who_is_dropped_while_it_waits_to_go_on_is_gone() -> None:
    scripted = Scripted([Written("a", (0, 0))])
    one = chat(scripted)
    one.prompts.dialect = THINKS  # type: ignore[misc]
    assert one.admit(thinker(1))
    one.step()
    one.drop("a")
    assert one.step() == []
    assert len(scripted.begun) == 1


def test_thinking_to_the_limit_of_the_answer_ends_it() -> None:
    scripted = Scripted([Written("a", (0, 0, 0))])
    one = chat(scripted)
    one.prompts.dialect = THINKS  # type: ignore[misc]
    assert one.admit(thinker(3, max_tokens=4))
    done = one.step()[-1]
    assert isinstance(done, Done)
    assert isinstance(done.result, ChatResult)
    assert done.result.finish == "length"
    assert done.result.usage.completion_tokens == 4


def test_a_model_without_tokens_for_gaps_is_named_where_one_is_to_be_filled() -> None:
    scripted = Scripted()
    one = TokenChat(scripted)
    assert not one.load(SPEC, lambda _stage: None).fills
    with pytest.raises(InvalidRequest, match="model m cannot fill gaps") as refused:
        one.admit(several("a", 1, prompts=[Fill(prefix="a", suffix="b")]))
    assert refused.value.param == "suffix"
    assert not scripted.begun


def test_what_fills_a_gap_ends_with_the_tokens_for_gaps_too() -> None:
    scripted = Filling()
    one = TokenChat(scripted)
    assert one.load(SPEC, lambda _stage: None).fills
    assert one.admit(several("a", 1, prompts=[Fill(prefix="a", suffix="b")]))
    (request,) = scripted.begun
    assert request.prompt.tokens == [0, 3, 1, 3, 2]
    assert request.sampling.stop_token_ids == [0, 1, 2]


class Filling(Scripted):
    """A model that fills gaps."""

    def load(self, spec: Spec, stage: Stage) -> TokenModel:
        model = super().load(spec, stage)
        texts = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
        control = {text: Control(at) for at, text in enumerate(texts)}
        prompts = Letters()
        prompts.vocabulary = Vocabulary([b"", b"", b"", b"a"], control, lambda _: [[3], [3]])
        prompts.raw = RawLayout(prompts.vocabulary)
        return model._replace(prompts=prompts)


def test_a_prompt_that_is_too_long_is_named_as_it_came() -> None:
    for asked, param in (
        (several("a", 1, prompts=[Tokens(ids=[0] * 9)]), "prompt"),
        (job("a", "x" * 9), "messages"),
    ):
        with pytest.raises(ContextTooLong) as refused:
            chat(Scripted()).admit(asked)
        assert refused.value.param == param


def begun(one: TokenChat) -> list[tuple[str, int]]:
    """The jobs whose prompts have been begun since, with how many tokens they have."""
    return [(job_id, len(tokens)) for job_id, tokens in one.prompts_begun()]


@pytest.mark.parametrize("prompts_apart", [False, True])
def test_an_engine_that_keeps_prefixes_tells_what_it_has_begun(prompts_apart: bool) -> None:
    scripted = Scripted(keeps_prefixes=True, prompts_apart=prompts_apart, room=1)
    one = chat(scripted)
    assert one.admit(job("a", "four"))
    deadline_at = time.monotonic() + DEADLINE_S
    while not scripted.begun and time.monotonic() < deadline_at:
        one.step()
    assert begun(one) == [("a", 4)]
    assert begun(one) == []


def test_one_that_keeps_none_has_nothing_to_tell() -> None:
    one = chat(Scripted())
    assert one.admit(job("a"))
    assert begun(one) == []


def test_a_prompt_is_told_once_for_all_its_choices() -> None:
    one = chat(Scripted(keeps_prefixes=True))
    sampling = Sampling(max_tokens=2, n=2, temperature=1.0)
    asked = ChatInput(prompts=[Tokens(ids=[0, 1]), Tokens(ids=[1])], sampling=sampling)
    assert one.admit(Job(id="a", model="m", input=asked, deadline_at=0.0))
    assert begun(one) == [("a", 2)]  # the other has no slot yet
