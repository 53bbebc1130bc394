"""An answer that another worker goes on with says what it would have said: cut wherever a piece has
gone out, of every kind of answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from ipc.grammar.rest import rest
from ipc.grammar.rules import Rules
from ipc.messages.errors import WorkerCrashed
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Done,
    Event,
    Piece,
    Reasoning,
    Usage,
)
from ipc.messages.jobs import ChatInput, Job, Message, RawPrompt, Sampling, Tokens
from ipc.messages.jobs import Choice as Form
from tests.unit.ipc.grammar.recogniser import admits
from tests.unit.worker.chat.spoken import THINK, asked, dialect
from tests.unit.worker.chat.test_engine import END, Scripted, chat, job
from worker.chat.dialects.generic import NATIVE
from worker.chat.dialects.model_dialect import ModelDialect
from worker.chat.generation import Generation
from worker.chat.going_on import rest_of
from worker.chat.grammar import grammar_of
from worker.chat.parsing.reading import Thinking
from worker.chat.prompt import Prompt
from worker.chat.raw import RawLayout
from worker.chat.token_engine import TokenRequest, Written
from worker.chat.vocabulary import Control, Vocabulary

# A token for each byte, and for nothing else.
BYTES = Vocabulary([bytes([byte]) for byte in range(256)], {}, lambda _texts: [])
CALL = (
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Bad Tölz", "days": 2}}\n</tool_call>'
)
ANSWERS = [
    "Yes. 🎉 And 東京, too.",
    "<think>\nHm, 🎉.\n\n</think>\n\nYes.",
    f"<think>Hm.</think>\n\n{CALL}",
    f"I look.\n{CALL}\n{CALL}",
    "Write <tool_call> first, then </tool_call>.",
    "All of it until STOP and no more",
    "Almost a STO, and then a STOP here",
]
# How many tokens a step brings.
STEPS = [1, 3]
FAMILIES = ["hermes", "mistral", "llama3", "deepseek_v3", "generic"]


def generation(name: str) -> Generation:
    model = dialect(name, THINK)
    sampling = Sampling(max_tokens=200, stop=["STOP"])
    return Generation(
        "job",
        sampling,
        prompt_tokens=7,
        limit=200,
        vocabulary=BYTES,
        parser=model.parser(asked(), "", ()),
    )


def pushed(one: Generation, tokens: Sequence[int], step: int) -> list[list[Piece]]:
    """The pieces of each step, and of the end."""
    found: list[list[Piece]] = []
    for at in range(0, len(tokens), step):
        found += [[] if one.ended else one.push(tokens[at : at + step])]
    return [*found, [] if one.ended else one.end("stop")]


def said(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """What a client has in the end, which neither depends on cuts nor on the ids of calls."""
    found: list[tuple[str, str]] = []
    for piece in pieces:
        if isinstance(piece, CallOpened):
            found.append((f"call {piece.index}", piece.name))
            continue
        assert isinstance(piece, Delta | Reasoning | CallArguments)
        kind = type(piece).__name__
        if isinstance(piece, CallArguments):
            kind += f" {piece.index}"
        text = piece.text
        if found and found[-1][0] == kind:
            text = found.pop()[1] + text
        found.append((kind, text))
    return found


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("text", ANSWERS)
def test_what_goes_on_behind_what_a_client_has_is_the_rest(text: str, name: str, step: int) -> None:
    tokens = list(text.encode())
    whole = generation(name)
    steps = pushed(whole, tokens, step)
    for cut in range(1, len(steps), 3):
        before = [piece for pieces in steps[:cut] for piece in pieces]
        has = [token for piece in before for token in piece.ids]
        if not has:
            continue
        again = generation(name)
        again.go_on_behind(has)
        after = [piece for pieces in pushed(again, tokens[len(has) :], step) for piece in pieces]
        assert said([*before, *after]) == said([piece for pieces in steps for piece in pieces])
        assert (again.finish, again.stop_text) == (whole.finish, whole.stop_text)
        assert again.usage.completion_tokens == whole.usage.completion_tokens
        # Of a step of several tokens all count for what it says first.
        assert step > 1 or again.usage == whole.usage


def test_the_request_for_the_rest_has_what_is_there_in_its_prompt() -> None:
    sampling = Sampling(max_tokens=9, min_tokens=4)
    request = TokenRequest("a", Prompt([1, 2]), sampling, 9)
    rest = rest_of(request, [5, 6, 7])
    assert rest.prompt.tokens == [1, 2, 5, 6, 7]
    assert (rest.limit, rest.sampling.min_tokens, rest.written) == (6, 1, [5, 6, 7])
    assert rest_of(rest, [8]).written == [5, 6, 7, 8]


def on(name: str, written: list[int], max_tokens: int = 100) -> TokenRequest | None:
    """What a token engine is asked for the rest of an answer."""
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(
        msgspec.structs.replace(job(name, max_tokens=max_tokens), written={0: written})
    )
    one.step()
    return scripted.begun[0] if scripted.begun else None


def test_an_engine_is_asked_for_the_rest() -> None:
    request = on("a", [0, 1], max_tokens=5)
    assert request is not None
    assert request.prompt.tokens == [0, 0, 0, 1]
    assert (request.limit, request.written) == (3, [0, 1])


def test_its_events_are_those_of_the_rest_and_its_usage_that_of_the_whole() -> None:
    scripted = Scripted([Written("a", (0,))], [Written("a", (END,))])
    one = chat(scripted)
    assert one.admit(msgspec.structs.replace(job("a"), written={0: [0, 1]}))
    events: list[Event] = [*one.step(), *one.step()]
    usage = Usage(prompt_tokens=2, completion_tokens=4)
    assert events == [
        Delta("a", "a", ids=[0]),
        Done("a", ChatResult(finish="stop", usage=usage)),
    ]
    assert one.wait_s() is None


def test_one_that_has_all_that_it_may_have_ends_without_an_engine() -> None:
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(msgspec.structs.replace(job("a", max_tokens=2), written={0: [0, 1]}))
    usage = Usage(prompt_tokens=2, completion_tokens=2)
    assert one.step() == [Done("a", ChatResult(finish="length", usage=usage))]
    assert scripted.begun == []
    assert one.wait_s() is None


# --- several choices, grammars, reasoning that is cut off ---


def several(
    name: str, n: int, written: dict[int, list[int]], temperature: float = 1.0, **asked: Any
) -> Job:
    sampling = Sampling(max_tokens=5, n=n, temperature=temperature)
    chat = ChatInput(messages=[Message("user", "hi")], sampling=sampling, **asked)
    return Job(id=name, model="m", input=chat, deadline_at=0.0, written=written)


def test_each_choice_goes_on_behind_its_own_and_one_that_has_not_begun_begins() -> None:
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(several("a", 2, {1: [0, 1]}))
    one.step()
    first, second = scripted.begun
    assert (first.prompt.tokens, first.written, first.limit) == ([0, 0], (), 5)
    assert (second.prompt.tokens, second.written, second.limit) == ([0, 0, 0, 1], [0, 1], 3)


@pytest.mark.parametrize("written", [{0: [0, 1], 1: [0]}, {0: [0]}])
def test_copies_of_one_answer_may_have_been_cut_apart(written: dict[int, list[int]]) -> None:
    """The connection that they came by has broken between two of them."""
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(several("a", 2, written, temperature=0.0))
    one.step()
    assert [list(request.written) for request in scripted.begun] == [
        written.get(choice, []) for choice in (0, 1)
    ]


def test_copies_that_have_the_same_are_written_once() -> None:
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(several("a", 2, {0: [0], 1: [0]}, temperature=0.0))
    one.step()
    assert [request.written for request in scripted.begun] == [[0]]


def test_a_prompt_that_was_repeated_is_not_repeated_again() -> None:
    scripted = Scripted([Written("a", (0,)), Written("a#1", (0,))])
    one = chat(scripted)
    prompts: list[RawPrompt] = [Tokens(ids=[0]), Tokens(ids=[0])]
    asked = ChatInput(prompts=prompts, sampling=Sampling(max_tokens=5), echo=True)
    job = Job(id="a", model="m", input=asked, deadline_at=0.0, written={0: []})
    assert one.admit(job)
    told = [piece for piece in one.step() if isinstance(piece, Delta)]
    said = ["".join(piece.text for piece in told if piece.choice == at) for at in (0, 1)]
    assert said == ["a", "aa"]


def test_a_form_is_entered_in_its_middle() -> None:
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(several("a", 1, {0: [0, 1]}, form=Form(texts=["a b a", "a b"])))
    one.step()
    grammar = scripted.begun[0].grammar
    assert isinstance(grammar, Rules)
    assert [admits(grammar, text) for text in ("", " a", " b")] == [True, True, False]


def test_an_answer_that_is_whole_by_its_form_ends_without_an_engine() -> None:
    scripted = Scripted()
    one = chat(scripted)
    assert one.admit(several("a", 1, {0: [0, 1]}, form=Form(texts=["a b"])))
    usage = Usage(prompt_tokens=2, completion_tokens=3)
    assert one.step() == [Done("a", ChatResult(finish="stop", usage=usage))]
    assert scripted.begun == []


def test_what_does_not_keep_to_its_form_is_an_error_and_nobody_goes_on() -> None:
    one = chat(Scripted())
    with pytest.raises(WorkerCrashed, match="cannot be entered"):
        one.admit(several("a", 1, {0: [1]}, form=Form(texts=["a b"])))
    assert one.wait_s() is None


CALLS = [
    ("hermes", CALL),
    ("generic", '{"tool_calls": [{"name": "clock", "arguments": {}}]}'),
]


@pytest.mark.parametrize(("name", "text"), CALLS)
def test_a_call_that_must_be_made_is_entered_wherever_it_is_cut(name: str, text: str) -> None:
    rules = grammar_of(asked(must_call=True), dialect(name), "")
    assert isinstance(rules, Rules)
    admitted = [at for at in range(len(text)) if admits(rest(rules, text[:at]), text[at:])]
    assert admitted == [*range(len(text))]


# A model of which ``a`` begins its reasoning, and `` b`` ends it, which is a token.
THINKS = ModelDialect(NATIVE, thinking=Thinking("a", " b", " b"))
WORDS = Vocabulary(
    [b"a", b" b", b"<end>"],
    {"<end>": Control(END)},
    lambda texts: [[1] if text == " b" else [0] * len(text) for text in texts],
)
# What its client has: the marker; a thought; another; the end of it; and a word of the answer.
HAS = [[0], [0, 0], [0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1, 0]]


@pytest.mark.parametrize("has", HAS, ids=len)
def test_reasoning_that_is_cut_off_is_cut_off_where_it_would_have_been(has: list[int]) -> None:
    """Three tokens may be thought, the marker among them; then comes the end of it, and two tokens
    of the answer."""
    thoughts = [[Written("a", (0,))] for _ in range(3 - len(has))]
    words = [[Written("a+" if len(has) < 4 else "a", (0,))] for _ in range(6 - max(len(has), 4))]
    scripted = Scripted(*thoughts, *words)
    one = chat(scripted)
    prompts = one.prompts
    prompts.dialect = THINKS  # type: ignore[misc]
    prompts.vocabulary, prompts.raw = WORDS, RawLayout(WORDS)  # type: ignore[misc]
    wanted = ChatInput(
        messages=[Message("user", "hi")], sampling=Sampling(max_tokens=6), reasoning_tokens=3
    )
    assert one.admit(Job(id="a", model="m", input=wanted, deadline_at=0.0, written={0: has}))
    events = [event for _ in range(9) for event in one.step()]
    ids = [token for piece in events if isinstance(piece, Piece) for token in piece.ids]
    assert [*has, *ids] == [0, 0, 0, 1, 0, 0]
    usage = Usage(prompt_tokens=2, completion_tokens=6, reasoning_tokens=3)
    assert events[-1] == Done("a", ChatResult(finish="length", usage=usage))
