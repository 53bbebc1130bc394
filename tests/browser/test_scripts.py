"""Parts of the page that decide something, asked by themselves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from frontend.api.audio import transcripts
from ipc.messages.events import Segment
from tests.browser.conftest import Visit


def run(visit: Visit, module: str, script: str, given: Any = None) -> Any:
    """What ``script`` gives of ``it``, a module of the page, and ``given``: beside nothing else
    that runs."""
    page = visit.open("connect")
    folder = page.evaluate("new URL('.', document.querySelector('script[src]').src).href")
    page.goto(f"{folder}icon.svg")
    body = f"async (given) => {{ const it = await import('{folder}{module}'); {script} }}"
    return page.evaluate(body, given)


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_are_those_of_the_api(visit: Visit, form: str) -> None:
    """A recording that was transcribed once needs no second time for another form."""
    given: list[dict[str, Any]] = [
        {"start": 0.0, "end": 2.5, "text": " What <was> --> said & done."},
        {"start": 2.5, "end": 2.5, "text": "\n"},
        {"start": 3723.4567, "end": 3723.4567, "text": "two\nlines"},
    ]
    segments = [segment(one) for one in given]
    told = run(visit, "pages/tools/subtitles.js", f"return it.{form}(given)", given)
    assert told == getattr(transcripts, form)(segments)


def test_who_is_not_answered_asks_ever_less_often(visit: Visit) -> None:
    waits = run(
        visit,
        "lib/every.js",
        """
        const waits = [], said = [];
        const real = globalThis.setTimeout;
        return await new Promise((resolve) => {
          globalThis.setTimeout = (act, ms) => {
            waits.push(ms);
            if (waits.length < 7) return real(act, 0);
            globalThis.setTimeout = real;
            asking.end();
            resolve([waits, said]);
          };
          const ask = async () => {
            if (waits.length < 5) throw new Error("no answer");
          };
          const asking = it.repeat(2000, ask, (error) => said.push(error.message));
        });
        """,
    )
    assert waits == [[4000, 8000, 16000, 30000, 30000, 2000, 2000], ["no answer"]]


def test_a_hidden_page_asks_for_nothing(visit: Visit) -> None:
    asked = run(
        visit,
        "lib/every.js",
        """
        let hidden = false, asked = 0;
        Object.defineProperty(document, "hidden", { get: () => hidden });
        const see = (is) => ((hidden = !is), document.dispatchEvent(new Event("visibilitychange")));
        const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        const asking = it.repeat(1, async () => void (asked += 1));
        see(false);
        const before = asked;
        await after(50);
        const meanwhile = asked - before;
        see(true);
        const again = asked - before - meanwhile;
        asking.end();
        return [meanwhile, again];
        """,
    )
    assert asked == [0, 1]


def segment(said: dict[str, Any]) -> Segment:
    likely = {"avg_logprob": 0.0, "compression_ratio": 1.0, "no_speech_prob": 0.0}
    known = {"id": 0, "seek": 0, "tokens": [], "temperature": 0.0}
    return msgspec.convert({**said, **likely, **known}, Segment)
