"""The load generator: who asks when, what answers come to, and what is shown of it."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx2
import orjson
import pytest
from rich.console import Console

from bench.load import command, screen
from bench.load.chat import Chat
from bench.load.embeddings import Embeddings
from bench.load.ladder import MAX_PAUSE_S, PAUSE_S, Limit, hold, pause_s
from bench.load.options import Common
from bench.load.outcome import Level, Outcome, Run, times
from bench.load.plot import draw
from bench.load.report import in_words, report
from bench.load.rerank import Rerank
from bench.load.server import Reply, Request, Unanswered, choose, refused
from supervisor.models import optional_packages
from supervisor.models.optional_packages import OptionalPackages

# --- who asks when -------------------------------------------------------------------------------


class Answers:
    """A server that answers each request one turn of the loop later, and counts."""

    def __init__(self, error: str = "") -> None:
        self.asked = self.at_once = self.most_at_once = 0
        self._error = error

    async def __call__(self) -> Outcome:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return Outcome(0.001, error=self._error, retry_after_s=0.0)


def held(answers: Answers, clients: int, limit: Limit) -> Level:
    return asyncio.run(hold(answers, clients, limit, lambda _: None))


@pytest.mark.parametrize("error", ["", "429 rate_limit_exceeded"])
def test_so_many_requests_are_sent_and_each_client_waits_for_its_answer(error: str) -> None:
    answers = Answers(error)
    level = held(answers, 4, Limit(requests=10))
    assert (answers.asked, answers.most_at_once) == (10, 4)
    assert len(level.outcomes) == 10
    assert len(level.answered) == (0 if error else 10)


def test_until_its_time_is_over_a_level_goes_on_and_every_client_asks_once() -> None:
    assert held(Answers(), 3, Limit(seconds=0.05)).seconds >= 0.05
    assert len(held(Answers(), 3, Limit(seconds=1e-9)).outcomes) == 3
    assert held(Answers(), 3, Limit(requests=5, seconds=60)).clients == 3


def test_a_level_has_a_request_for_each_client() -> None:
    assert Limit(requests=4).of(16) == Limit(requests=16)
    assert Limit(seconds=2).of(16) == Limit(seconds=2)


def test_a_refused_client_comes_back_when_it_was_told_to_within_bounds() -> None:
    assert pause_s(Outcome(0, error="broken off")) == PAUSE_S
    assert pause_s(Outcome(0, error="429", retry_after_s=2.0)) == 2.0
    assert pause_s(Outcome(0, error="429", retry_after_s=600.0)) == MAX_PAUSE_S


# --- what answers come to ------------------------------------------------------------------------


def test_quantiles_are_values_that_were_measured() -> None:
    found = times([0.001 * value for value in range(100, 0, -1)])
    assert found is not None
    rounded = [round(value, 6) for value in found]
    assert rounded == [50.5, 50, 90, 95, 99, 100]
    assert times([]) is None


LEVEL = Level(
    clients=2,
    seconds=4.0,
    cpu_s=1.0,
    outcomes=[
        Outcome(0.5, {"completion_tokens": 6, "prompt_tokens": 2}, first_s=0.1, token_s=0.08),
        Outcome(0.7, {"completion_tokens": 10, "prompt_tokens": 2}, first_s=0.3, token_s=0.04),
        Outcome(9.0, error="429 rate_limit_exceeded", message="[full]"),
        Outcome(9.0, error="timeout"),
    ],
)


def test_a_level_counts_what_was_answered_and_what_failed() -> None:
    assert LEVEL.requests_per_s == 0.5
    assert LEVEL.rate("completion_tokens") == 4.0
    assert LEVEL.rate("texts") is None
    assert LEVEL.errors == {"429 rate_limit_exceeded": 1, "timeout": 1}
    assert {name: one.max for name, one in LEVEL.times().items()} == {
        "latency": 700.0,
        "ttft": 300.0,
        "itl": 80.0,
    }


def reply(*pieces: bytes, status: int = 200, **headers: str) -> Reply:
    """Pieces that arrive at seconds 1, 2 and so on; the request was sent at 0."""
    at = [float(second) for second in range(1, len(pieces) + 1)]
    return Reply(status, httpx2.Headers(headers), list(pieces), at, 0.0, len(pieces) + 1.0)


def chat(*, stream: bool = True) -> Chat:
    return Chat(None, words=5, max_tokens=8, temperature=0.0, stream=stream)


ASKED = Request("/", b"")
ROLE = b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n'
TEXT = b'data: {"choices": [{"delta": {"content": "%s"}}], "usage": null}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
END = b"data: [DONE]\n\n"


def test_a_stream_is_timed_from_its_first_text_to_its_last() -> None:
    found = chat().read(ASKED, reply(ROLE, TEXT % b"a", TEXT % b"b c", TEXT % b"d", USAGE + END))
    assert (found.error, found.seconds, found.first_s) == ("", 6.0, 2.0)
    assert found.token_s == pytest.approx(2 / 3)  # text at 2, 3 and 4; 4 tokens, 3 gaps
    assert found.amounts == {"completion_tokens": 4, "prompt_tokens": 3}


def test_a_stream_of_a_server_that_does_not_count_is_timed_as_well() -> None:
    found = chat().read(ASKED, reply(TEXT % b"a", TEXT % b"b", END))
    assert (found.first_s, found.token_s, found.amounts) == (1.0, None, {})


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ([TEXT % b"a"], "broken off"),
        ([], "broken off"),
        ([TEXT % b"a", b'data: {"error":{"code":"worker_crashed","message":"m"}}\n\n', END],
         "200 worker_crashed"),
    ],
)  # fmt: skip
def test_a_stream_that_does_not_end_well_is_a_failure(pieces: list[bytes], error: str) -> None:
    assert chat().read(ASKED, reply(*pieces)).error == error


def test_a_whole_answer_has_no_first_token() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    counted = orjson.dumps({"choices": [{}], "usage": usage})
    found = chat(stream=False).read(ASKED, reply(counted))
    assert (found.first_s, found.amounts) == (None, usage)
    assert chat(stream=False).read(ASKED, reply(b'{"choices": [{}]}')).amounts == {}


def test_a_refusal_keeps_its_code_its_message_and_when_to_come_again() -> None:
    body = b'{"error": {"code": "rate_limit_exceeded", "message": "full"}}'
    found = refused(reply(body, status=429, **{"retry-after": "3"}), body)
    assert (found.error, found.message) == ("429 rate_limit_exceeded", "full")
    assert found.retry_after_s == 3.0
    page = refused(reply(b"<html>", status=502), b"<html>")
    assert (page.error, page.message, page.retry_after_s) == ("502", "<html>", None)


def test_requests_are_unlike_each_other_where_caches_would_answer() -> None:
    for work in (chat(), Embeddings(None, 20, 2), Rerank(None, 20, 2)):
        assert work.request("m").body != work.request("m").body
    fixed = Chat("hello", words=5, max_tokens=8, temperature=0.0, stream=True)
    assert fixed.request("m") == fixed.request("m")


def test_embeddings_and_rerank_count_what_they_sent() -> None:
    body = orjson.dumps({"data": [{}, {}], "usage": {"prompt_tokens": 9}})
    found = Embeddings(None, 3, 2).read(ASKED, reply(body))
    assert found.amounts == {"texts": 2, "tokens": 9}
    uncounted = orjson.dumps({"data": [{}, {}], "usage": {"prompt_tokens": 0}})
    assert Embeddings(None, 3, 2).read(ASKED, reply(uncounted)).amounts == {"texts": 2}
    results = orjson.dumps({"results": [{}, {}]})
    assert Rerank(None, 3, 2).read(ASKED, reply(results)).amounts == {"documents": 2}
    with pytest.raises(ValueError, match="2 results for 3"):
        Rerank(None, 3, 3).read(ASKED, reply(results))


def test_the_model_is_the_first_that_can_do_it_or_the_only_one() -> None:
    ours = [{"id": "a", "capabilities": ["text-embedding"]}, {"id": "b", "capabilities": ["chat"]}]
    assert choose(ours, "chat") == "b"
    assert choose([{"id": "only"}], "chat") == "only"
    with pytest.raises(Unanswered, match="no model for rerank"):
        choose(ours, "rerank")
    with pytest.raises(Unanswered, match="--model: x, y"):
        choose([{"id": "x"}, {"id": "y"}], "chat")


# --- what is shown -------------------------------------------------------------------------------

RUNS = [Run("me/model", [LEVEL, Level(8, 1.0, 0.1, LEVEL.outcomes[:2])])]


def test_tables_have_a_row_for_each_level_and_say_what_failed() -> None:
    out = io.StringIO()
    screen.show(Console(file=out, width=120), RUNS[0])
    lines = [line.split() for line in out.getvalue().splitlines() if line]
    assert lines[0] == ["me/model"]
    assert lines[1][:6] == ["clients", "answered", "failed", "requests/s", "tokens/s", "prompt"]
    assert lines[2] == ["2", "2", "2", "0.5", "4", "1", "25"]
    assert lines[5] == ["2", "latency", "600", "500", "700", "700", "700", "700"]
    assert "1 of 4 failed at 2: 429 rate_limit_exceeded: [full]" in out.getvalue()


def test_json_has_every_figure() -> None:
    found: Any = json.loads(orjson.dumps(report("chat", "http://x", "now", {"stream": 1}, RUNS)))
    assert (found["command"], found["loop"], found["options"]) == ("chat", "closed", {"stream": 1})
    (run,) = found["runs"]
    first, second = run["levels"]
    assert (first["concurrency"], first["requests"], first["answered"]) == (2, 4, 2)
    assert first["errors"] == {"429 rate_limit_exceeded": 1, "timeout": 1}
    assert first["completion_tokens_per_s"] == 4.0
    assert first["ttft_ms"]["p99"] == 300.0
    assert first["own_cpu_percent"] == 25.0
    assert second["errors"] == {}


def test_options_are_said_as_they_were_given() -> None:
    options = {"batch_size": 1, "temperature": 0.0, "stream": False, "prompt": None}
    assert in_words(options) == "batch size 1, temperature 0.0, no stream"


@pytest.mark.parametrize("runs", [RUNS, [*RUNS, Run("me/other", RUNS[0].levels)]])
def test_plots_are_files_of_the_kind_that_was_asked_for(tmp_path: Path, runs: list[Run]) -> None:
    draw("title", "below", runs, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG\r\n")
    draw("title", "below", runs, tmp_path / "plot.svg")
    assert ElementTree.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")


def test_a_level_without_any_answer_can_be_drawn_and_shown(tmp_path: Path) -> None:
    run = Run("me/model", [Level(1, 1.0, 0.0, [Outcome(1.0, error="timeout")])])
    draw("title", "below", [run], tmp_path / "plot.png")
    screen.show(Console(file=io.StringIO()), run)
    assert (tmp_path / "plot.png").stat().st_size > 0


def test_what_draws_a_plot_is_installed_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", "/opt/venv")  # which is not ours to change
    absent = OptionalPackages("plot", ("plots_of_no_kind",))
    monkeypatch.setattr(optional_packages, "PLOT", absent)
    with pytest.raises(SystemExit) as ended:
        command.main(["chat", "--url", "http://127.0.0.1:1", "--plot", "plot.png"])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "plots_of_no_kind is not installed here; run: " in said
    assert "requirements-plot.txt" in said


# --- options -------------------------------------------------------------------------------------


def test_an_address_may_have_the_v1_that_sdks_want() -> None:
    given = Common("http://x/v1/", "a, b", "1,8", None, None, 0, 1.0, None, None)
    assert (given.base_url, given.models, given.levels) == ("http://x", ["a", "b"], [1, 8])
    assert given.limit == Limit(None, 10.0)
    asked = Common(None, None, "1", 5, None, 0, 1.0, None, None)
    assert (asked.base_url, asked.models, asked.limit) == (None, [], Limit(5, None))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chat", "--concurrency", "1,none"], "write numbers of clients, such as 1,2,4"),
        (["chat", "--concurrency", "0"], "write numbers of clients"),
        (["chat", "--plot", "plot.jpg"], "ends in .png or .svg"),
        (["chat", "--json", "/none/of/these"], "no file in a folder that exists"),
        (["audio"], "Missing option '--file'"),
    ],
)
def test_mistakes_show_before_anything_is_measured(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # without anybody's .env
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
