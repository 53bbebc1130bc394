"""One answer from its tokens: counts, text, and exactly one end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ipc.messages.events import (
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Done,
    Event,
    Finish,
    Piece,
    Reasoning,
    Usage,
)
from ipc.messages.jobs import Sampling
from worker.chat.generation import Generation
from worker.chat.parser import Arguments, Content, Opened, PlainText, Said, Thought
from worker.chat.vocabulary import Control, Vocabulary

END, OTHER_END, EMOJI = 2, 3, "🎉".encode()
PIECES = [b"a", b" b", b"<end>", b"</s>", EMOJI[:2], EMOJI[2:], b"c"]
VOCABULARY = Vocabulary(
    PIECES, {"<end>": Control(END), "</s>": Control(OTHER_END)}, lambda _text: []
)


def generation(limit: int = 100, **sampling: Any) -> Generation:
    asked = Sampling(max_tokens=limit, **sampling)
    return Generation(
        "job",
        asked,
        prompt_tokens=7,
        limit=limit,
        vocabulary=VOCABULARY,
        parser=PlainText(),
        ends={END, OTHER_END},
    )


def written(one: Generation, tokens: list[int], finish: Finish | None = None) -> list[Event]:
    """One token a step, as engines have them; ``finish`` comes with the last."""
    pieces: list[Piece] = []
    for at, token in enumerate(tokens):
        pieces += one.push([token], finish if at == len(tokens) - 1 else None)
        if one.ended:
            break
    return whole(one, pieces)


def whole(one: Generation, pieces: Sequence[Piece]) -> list[Event]:
    """``pieces``, and the end where there is one."""
    end = [Done("job", ChatResult(finish=one.finish, usage=one.usage))] if one.ended else []
    return [*pieces, *end]


def told(events: list[Event]) -> tuple[str, str | None, int]:
    """The text, how it finished, and how many tokens were counted in the end."""
    text = "".join(event.text for event in events if isinstance(event, Delta))
    done = [event.result for event in events if isinstance(event, Done)]
    if not done:
        return text, None, 0
    (result,) = done
    assert isinstance(result, ChatResult)
    assert result.usage.prompt_tokens == 7
    return text, result.finish, result.usage.completion_tokens


@pytest.mark.parametrize(
    ("sampling", "tokens", "expected"),
    [
        ({}, [0, 1, END, 0], ("a b", "stop", 3)),
        ({}, [0, 1, OTHER_END], ("a b", "stop", 3)),
        ({}, [0, 1], ("a b", None, 0)),
        ({"limit": 2}, [0, 1, 6], ("a b", "length", 2)),
        ({"limit": 2}, [0, END], ("a", "stop", 2)),
        ({"limit": 3}, [0, 4, 5], ("a🎉", "length", 3)),
        ({"limit": 2}, [0, 4, 5], ("a\ufffd", "length", 2)),
        ({"stop": ["b"]}, [0, 1, 6], ("a ", "stop", 2)),
        ({"stop": ["🎉"]}, [0, 4, 5, 6], ("a", "stop", 3)),
        ({"stop": ["a bc"]}, [0, 1, END], ("a b", "stop", 3)),
        ({"stop_token_ids": [1]}, [0, 1, 6], ("a", "stop", 2)),
        ({"stop_token_ids": [4]}, [0, 4, 5], ("a", "stop", 2)),
        ({"ignore_eos": True, "limit": 4}, [0, END, 1, OTHER_END], ("a b", "length", 4)),
        ({"ignore_eos": True, "stop_token_ids": [END]}, [0, END, 1], ("a", "stop", 2)),
        ({"min_tokens": 2}, [0, END, 1, END], ("a b", "stop", 4)),
        ({"min_tokens": 2, "stop": ["a"]}, [0, 1, 0, 6], ("a b", "stop", 3)),
    ],
)
def test_an_answer(
    sampling: dict[str, Any], tokens: list[int], expected: tuple[str, str | None, int]
) -> None:
    assert told(written(generation(**sampling), tokens)) == expected


def test_many_tokens_at_once_are_as_one_after_the_other() -> None:
    tokens = [0, 4, 5, 1, 6, END, 0]
    one = generation()
    assert told(whole(one, one.push(tokens))) == told(written(generation(), tokens))


def test_the_library_may_end_it() -> None:
    assert told(written(generation(), [0, 1], "length")) == ("a b", "length", 2)
    assert told(written(generation(stop=["b"]), [0, 1], "length")) == ("a ", "stop", 2)


@pytest.mark.parametrize(
    ("stop", "tokens", "told_text"),
    [
        (["x", "b"], [0, 1, 6], "b"),
        (["a bc"], [0, 1, END], None),
        (["x"], [0, OTHER_END], None),
    ],
)
def test_which_stop_text_it_was(stop: list[str], tokens: list[int], told_text: str | None) -> None:
    one = generation(stop=stop)
    written(one, tokens)
    assert (one.finish, one.stop_text) == ("stop", told_text)


def test_a_delta_names_the_tokens_whose_text_waited() -> None:
    events = written(generation(), [0, 4, 5, 1])
    deltas = [one for one in events if isinstance(one, Delta)]
    assert [(one.text, one.tokens, one.ids) for one in deltas] == [
        ("a", 1, [0]),
        ("🎉", 2, [4, 5]),
        (" b", 1, [1]),
    ]


def test_a_library_that_makes_the_text_itself() -> None:
    one = generation(stop=["🎉"])
    events = [*one.push_text("a", 1), *one.push_text("b🎉", 4)]
    assert told(whole(one, events)) == ("ab", "stop", 5)
    other = generation(stop=["bc"])
    events = [*other.push_text("ab", 1), *other.end("length")]
    assert told(whole(other, events)) == ("ab", "length", 1)


def test_the_first_space_of_such_a_text_is_the_tokenizers_too() -> None:
    vocabulary = Vocabulary(PIECES, {}, lambda _text: [], drops_first_space=True)
    asked = Sampling(max_tokens=9)
    one = Generation(
        "job", asked, prompt_tokens=7, limit=9, vocabulary=vocabulary, parser=PlainText()
    )
    events = [*one.push_text(" a", 1), *one.push_text(" b", 1), *one.end("stop")]
    assert told(whole(one, events)) == ("a b", "stop", 2)


class Letters:
    """A parser to whom ``a`` is a thought, ``b`` the beginning of a call and ``c`` its arguments;
    it holds the last character back."""

    preserved: frozenset[str] = frozenset()
    thinking = False
    over = False

    def __init__(self) -> None:
        self._held = ""

    def push(self, text: str) -> Sequence[Said]:
        text = self._held + text.replace(" ", "")
        self._held = text[-1:]
        return [self._said(one) for one in text[:-1]]

    def finish(self, *, cut: bool = False) -> Sequence[Said]:  # noqa: ARG002
        return [self._said(self._held)] if self._held else []

    def _said(self, text: str) -> Said:
        match text:
            case "a":
                return Thought(text)
            case "b":
                return Opened("call_x", "weather")
            case "c":
                return Arguments(text)
            case _:
                return Content(text)


class OneLetter(PlainText):
    """A parser to whom nothing behind the first text is part of the answer."""

    def push(self, text: str) -> Sequence[Said]:
        self.over = True
        return (Content(text),)


def test_a_stop_text_behind_the_end_of_an_answer_has_not_ended_it() -> None:
    asked = Sampling(max_tokens=9, stop=["b"])
    one = Generation(
        "job", asked, prompt_tokens=7, limit=9, vocabulary=VOCABULARY, parser=OneLetter()
    )
    one.push([0, 1])
    assert (one.ended, one.stop_text) == (True, None)


def parsed(tokens: list[int], limit: int = 100) -> list[Event]:
    asked = Sampling(max_tokens=limit)
    one = Generation(
        "job",
        asked,
        prompt_tokens=7,
        limit=limit,
        vocabulary=VOCABULARY,
        parser=Letters(),
        ends={END},
    )
    return written(one, tokens)


def test_what_the_parser_finds_are_events_of_their_own() -> None:
    result = ChatResult(
        finish="tool_calls", usage=Usage(prompt_tokens=7, completion_tokens=7, reasoning_tokens=2)
    )
    assert parsed([0, 1, 6, 1, 4, 5, END]) == [
        Reasoning("job", "a", 2, ids=[0, 1]),
        CallOpened("job", 0, "call_x", "weather", 1, ids=[6]),
        CallArguments("job", 0, "c", 1, ids=[1]),
        CallOpened("job", 1, "call_x", "weather", 2, ids=[4, 5]),
        Delta("job", "🎉", 0),
        Done("job", result),
    ]


def test_a_call_that_is_cut_off_ends_for_its_length() -> None:
    done = parsed([1, 6, 6], limit=2)[-1]
    assert isinstance(done, Done)
    assert isinstance(done.result, ChatResult)
    assert done.result.finish == "length"
