"""What the pieces of llama.cpp's stream mean, as its release b11549 writes them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ipc.messages.errors import ContextTooLong, InternalError, InvalidRequest
from ipc.messages.events import TokenLogprob
from ipc.messages.jobs import Sampling
from worker.chat.prompt import Prompt
from worker.chat.token_engine import TokenRequest, Written
from worker.engines.llama_cpp.stream import AnswerStream


def stream(**sampling: Any) -> AnswerStream:
    asked = Sampling(max_tokens=8, **sampling)
    return AnswerStream(TokenRequest("a", Prompt([1, 2, 3]), asked, limit=8))


def piece(text: str = "", tokens: int = 0, **more: Any) -> bytes:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": None}
    choice |= {key: more.pop(key) for key in ("logprobs", "finish_reason") if key in more}
    return msgspec.json.encode(
        {"choices": [choice], "object": "text_completion", "timings": {"predicted_n": tokens}}
        | more
    )


def read(one: AnswerStream, *pieces: bytes) -> list[Written]:
    return [one.read(each) for each in pieces]


def usage(tokens: int, cached: int = 0) -> dict[str, Any]:
    counts = {"completion_tokens": tokens, "prompt_tokens": 3}
    return counts | {"prompt_tokens_details": {"cached_tokens": cached}}


def test_a_prompt_is_read_then_text_comes_then_the_end() -> None:
    progress = {"total": 3, "cache": 2, "processed": 2}
    assert read(
        stream(),
        piece(prompt_progress=progress),
        piece("Hi", 1),
        piece(" 🎉", 4),
        piece(tokens=5, finish_reason="stop", usage=usage(5, 2)),
    ) == [
        Written("a", cached_tokens=2, read_tokens=2),
        Written("a", text="Hi", text_tokens=1),
        Written("a", text=" 🎉", text_tokens=3),
        Written("a", text="", text_tokens=1, finish="stop", cached_tokens=2),
    ]


def test_what_was_guessed_is_told_once_for_all_of_the_answer() -> None:
    timings = {"predicted_n": 9, "draft_n": 8, "draft_n_accepted": 5}
    told = read(
        stream(),
        piece("Hi", timings={"predicted_n": 6, "draft_n": 8, "draft_n_accepted": 5}),
        piece(timings=timings, finish_reason="stop", usage=usage(9)),
    )
    assert [(one.guessed, one.accepted) for one in told] == [(0, 0), (8, 5)]


def test_an_answer_that_was_cut_says_so() -> None:
    cut = piece(tokens=1, finish_reason="length", usage=usage(1))
    (last,) = read(stream(), cut)
    assert last.finish == "length"


def logprobs(token: int, text: str, *top: tuple[int, str]) -> dict[str, Any]:
    likely = [
        {"id": at, "token": one, "bytes": [*one.encode()], "logprob": -1.0} for at, one in top
    ]
    chosen = {"id": token, "token": text, "bytes": [*text.encode()], "logprob": -0.5}
    return {"content": [chosen | {"top_logprobs": likely}]}


def test_a_token_has_its_log_probability_and_as_many_others_as_were_asked_for() -> None:
    said = logprobs(7, "é", (7, "é"), (8, "e"))
    (written,) = read(stream(logprobs=1), piece("é", 1, logprobs=said))
    assert written.logprobs == [
        TokenLogprob(7, "é".encode(), -0.5, [TokenLogprob(7, "é".encode(), -1.0)])
    ]


def test_without_others_the_token_alone_has_one() -> None:
    (written,) = read(stream(logprobs=0), piece("a", 1, logprobs=logprobs(7, "a", (7, "a"))))
    assert written.logprobs == [TokenLogprob(7, b"a", -0.5)]


def test_what_has_no_text_has_its_log_probability_with_the_next_that_has() -> None:
    silent, spoken = logprobs(1, ""), logprobs(7, "a")
    first, second, end = read(
        stream(logprobs=0),
        piece("", 1, logprobs=silent),
        piece("a", 2, logprobs=spoken),
        piece("", 3, logprobs=logprobs(2, "")),
    )
    assert first.logprobs == []
    assert [one.id for one in second.logprobs or []] == [1, 7]
    assert end.logprobs == []


def test_nobody_is_told_log_probabilities_unasked() -> None:
    (written,) = read(stream(), piece("a", 1))
    assert written.logprobs is None


def test_a_token_that_ends_the_answer_is_not_in_it() -> None:
    one = stream(stop_token_ids=[0, 9])
    before, kept, last = read(
        one,
        piece(prompt_progress={"cache": 0}, __verbose={"tokens": [0]}),
        piece("a", 1, __verbose={"tokens": [8]}),
        piece("b", 3, __verbose={"tokens": [9]}),
    )
    assert (before.finish, kept.text, kept.finish) == (None, "a", None)
    assert last == Written("a", text="", text_tokens=2, finish="stop")


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            {"code": 400, "message": "Failed to initialize samplers: failed to parse grammar"},
            InvalidRequest,
            "cannot keep to the form",
        ),
        ({"code": 500, "message": "Compute error."}, InternalError, "llama.cpp failed: Compute"),
        (
            {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 8},
            ContextTooLong,
            "9 tokens",
        ),
    ],
    ids=str,
)
def test_an_error_in_the_stream_ends_that_answer(
    said: dict[str, Any], kind: type[Exception], words: str
) -> None:
    (written,) = read(stream(), msgspec.json.encode({"error": said}))
    assert isinstance(written.error, kind)
    assert words in written.error.message


@pytest.mark.parametrize("data", [b"", b"[", b'{"choices": 1}', b"\xff"])
def test_what_is_no_piece_is_an_error(data: bytes) -> None:
    (written,) = read(stream(), data)
    assert isinstance(written.error, InternalError)


def test_a_stream_that_ends_before_its_answer_is_an_error() -> None:
    assert "stopped in the middle" in str(stream().broken(None).error)
    assert str(stream().broken(ValueError("a\nb")).error) == "llama.cpp failed: a b"


def native(**fields: Any) -> bytes:
    return msgspec.json.encode({"index": 0, "content": "", "stop": False} | fields)


def test_the_servers_own_form_means_the_same() -> None:
    asked = Sampling(max_tokens=8, logprobs=0, stop_token_ids=[9])
    one = AnswerStream(TokenRequest("a", Prompt([1]), asked, limit=8), is_native=True)
    chosen = {"id": 7, "bytes": [97], "logprob": -0.5}
    assert read(
        one,
        native(tokens=[0], prompt_progress={"cache": 2, "processed": 3}),
        native(content="a", tokens=[7], tokens_predicted=1, completion_probabilities=[chosen]),
        native(tokens=[9], tokens_predicted=2),
    ) == [
        Written("a", cached_tokens=2, read_tokens=3),
        Written("a", (7,), text="a", text_tokens=1, logprobs=[TokenLogprob(7, b"a", -0.5)]),
        Written("a", text="", text_tokens=1, finish="stop"),
    ]


@pytest.mark.parametrize(
    ("stop_type", "finish"), [("limit", "length"), ("eos", "stop"), ("word", "stop")]
)
def test_the_servers_own_form_says_how_it_ended(stop_type: str, finish: str) -> None:
    one = AnswerStream(TokenRequest("a", Prompt([1]), Sampling(max_tokens=8), 8), is_native=True)
    end = native(stop=True, stop_type=stop_type, tokens_predicted=1, timings={"cache_n": 2})
    (last,) = read(one, end)
    assert last == Written("a", text="", text_tokens=1, finish=last.finish, cached_tokens=2)
    assert last.finish == finish
