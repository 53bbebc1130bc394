"""The application without processes: a dispatcher that answers from a script, a scripted report."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from msgspec.structs import replace
from starlette.applications import Starlette

from frontend.app import Kept, build
from frontend.batches.service import Batches
from frontend.dispatch.budget import Budget, Claim
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.event_feed import EventFeed
from frontend.dispatch.stream import Stream
from frontend.dispatch.terms import PLAIN, Terms
from frontend.metrics.prometheus import Metrics
from frontend.quotas import seen
from ipc.messages.admin import AdminAct, GetHealth, Wish
from ipc.messages.blob import Blob
from ipc.messages.control import Serve
from ipc.messages.errors import InvalidRequest, ModelNotFound, ServeError, Unavailable
from ipc.messages.events import (
    ChatResult,
    Delta,
    Done,
    EmbedResult,
    Finish,
    RerankResult,
    Segment,
    SpeechResult,
    Token,
    TokenizeResult,
    Usage,
    Word,
)
from ipc.messages.jobs import Input, Task
from ipc.messages.spec import Loaded, Spec
from ipc.messages.state import ModelState, Route

CHAT = Spec(name="org/chat", task="chat", engine="echo", path="", max_new_tokens=100)
EMBED = Spec(name="org/embed", task="embed", engine="echo", path="")
RERANK = Spec(name="org/rerank", task="rerank", engine="echo", path="")
SPEECH = Spec(name="org/speech", task="speech", engine="echo", path="")
SPEAK = Spec(name="org/speak", task="speak", engine="echo", path="")

USAGE = Usage(prompt_tokens=7, completion_tokens=2, cached_tokens=3)
SEGMENT = Segment(
    id=0,
    seek=0,
    start=0.0,
    end=2.5,
    text=" Hello there.",
    tokens=[50364, 2425],
    temperature=0.0,
    avg_logprob=-0.25,
    compression_ratio=0.9,
    no_speech_prob=0.01,
)
TRANSCRIPT = SpeechResult(
    text=" Hello there.",
    language="en",
    duration_s=2.5,
    segments=[SEGMENT],
    words=[Word(" Hello", 0.0, 0.4, 0.9), Word(" there.", 0.5, 1.0, 0.9)],
    usage=USAGE,
)

Script = Callable[[Stream], None]


def chat_done(finish: Finish = "stop") -> Done:
    return Done("job", ChatResult(finish=finish, usage=USAGE))


def says(*texts: str, finish: Finish = "stop") -> Script:
    """A chat that has said ``texts`` by the time anyone looks."""

    def script(stream: Stream) -> None:
        now = stream.dispatched_at = time.monotonic()
        for text in texts:
            stream.push(Delta("job", text), now)
        stream.push(chat_done(finish), now)

    return script


def embeds(vectors: bytes, count: int, padding_tokens: int = 0) -> Script:
    """An embedding whose float32 rows are ``vectors``."""
    dimensions = len(vectors) // 4 // count
    result = EmbedResult(
        vectors=Blob(vectors), count=count, dimensions=dimensions, usage=Usage(prompt_tokens=7)
    )

    def script(stream: Stream) -> None:
        now = stream.dispatched_at = time.monotonic()
        stream.push(Done("job", result, padding_tokens=padding_tokens), now)

    return script


def ranks(scores: bytes) -> Script:
    """A reranking that finds these float32 scores."""
    usage = Usage(prompt_tokens=7)
    result = RerankResult(scores=Blob(scores), count=len(scores) // 4, usage=usage)
    return lambda stream: stream.push(Done("job", result), time.monotonic())


def hears(stream: Stream) -> None:
    """A transcription of `TRANSCRIPT`, in one delta."""
    stream.push(Delta("job", TRANSCRIPT.text), time.monotonic())
    stream.push(Done("job", TRANSCRIPT), time.monotonic())


def silent(_: Stream) -> None:
    """A job that never says anything."""


class FakeDispatcher:
    """Keeps what was submitted and which jobs were cancelled; ``script`` plays each answer."""

    def __init__(self, script: Script = silent) -> None:
        self.specs = {spec.name: spec for spec in (CHAT, EMBED, RERANK, SPEECH, SPEAK)}
        self.aliases: dict[str, str] = {}
        self.draining = False
        self.script = script
        self.asked: list[Any] = []
        self.terms: list[Terms] = []
        self.sizes: list[tuple[str, int]] = []
        self.cancelled: list[str] = []
        self.told_demand = 0
        self.lost: set[str] = set()

    def spec(self, name: str, task: Task) -> Spec:
        spec = self.called(name)
        if spec is None:
            raise ModelNotFound("no such model", param="model")
        if spec.task != task:
            raise InvalidRequest("served elsewhere", param="model")
        return spec

    def shows(self, name: str) -> bool:
        return seen.includes(name, self.aliases)

    def called(self, name: str) -> Spec | None:
        return self.specs.get(self.aliases.get(name, name))

    def only(self, task: Task) -> Spec:
        return next(spec for spec in self.specs.values() if spec.task == task)

    def submit(
        self,
        request_id: str,
        spec: Spec,
        asked: Input,
        size_bytes: int,
        claim: Claim,
        terms: Terms = PLAIN,
    ) -> Stream:
        self.asked.append(asked)
        self.terms.append(terms)
        self.sizes.append((spec.name, size_bytes))
        stream = Stream(request_id, time.monotonic(), self.cancelled.append, claim)
        self.script(stream)
        return stream

    def takes_pieces(self, _spec: Spec) -> bool:
        return False

    def hears_early(self, _spec: Spec, _rest_s: float | None) -> bool:
        return False

    def state(self, name: str) -> ModelState:
        route = Route(replica=name, generation=1, endpoint="", credit=8)
        loaded = Loaded(device="cpu", context_tokens=2048)
        return ModelState(name=name, routes=[route], state="ready", loaded=loaded)

    def tell_demand(self) -> None:
        self.told_demand += 1

    def unconnected(self) -> set[str]:
        return self.lost

    def queues(self) -> dict[str, dict[str, float]]:
        queue = {"depth": 1, "limit": 32, "bytes": 9, "in_flight": 2, "credit": 8, "oldest_s": 0.5}
        queue["eta_s"] = 1.5
        return {name: dict(queue) for name in self.specs}


class FakeTokenizers(FakeDispatcher):
    """Its models have tokenizers."""

    def state(self, name: str) -> ModelState:
        loaded = Loaded(device="cpu", tokenizes=True)
        return replace(super().state(name), loaded=loaded)


def counts(tokens: int) -> Script:
    """A tokenizer that finds so many."""
    result = TokenizeResult(rows=[[Token(1, b"a")] * tokens], text="")
    return lambda stream: stream.push(Done("job", result), time.monotonic())


class FakeControl:
    """A supervisor that reports ``report``; None: it does not answer."""

    def __init__(self, report: dict[str, Any] | None) -> None:
        self.report = report

        self.events = EventFeed()
        self.wishes: list[Wish] = []
        self.refusal: ServeError | None = None  # what becomes of each wish
        self.acts: list[AdminAct] = []
        self.noted: list[tuple[str, str | None, dict[str, Any]]] = []

    async def health(self, _timeout_s: float) -> dict[str, Any] | None:
        return self.report

    async def ask(self, wish: Wish, _timeout_s: float) -> dict[str, Any]:
        self.wishes.append(wish)
        if self.refusal is not None and not isinstance(wish, GetHealth):
            raise self.refusal
        if self.report is None:
            raise Unavailable("the supervisor does not answer")
        return self.report

    def acted(self, act: AdminAct) -> None:
        self.acts.append(act)

    def note(self, event: str, model: str | None = None, **facts: Any) -> None:
        self.noted.append((event, model, facts))


def report(**states: str) -> dict[str, Any]:
    """A supervisor's report with one replica for each model."""
    return {
        "box": {"cpus": 2},
        "models": [
            {
                "name": f"org/{name}",
                "state": state,
                "reason": "out of luck" if state == "failed" else None,
                "replicas": [
                    {
                        "replica": f"{name}-1",
                        "state": state,
                        "restarts": 3,
                        "rss_mb": 100.0,
                        "cpu_percent": 12.5,
                    }
                ],
            }
            for name, state in states.items()
        ],
    }


def limits(**changes: Any) -> Serve:
    defaults: dict[str, Any] = {
        "specs": [],
        "keepalive_s": 15.0,
        "max_json_bytes": 1 << 20,
        "max_audio_bytes": 1 << 20,
        "max_batch_size": 4,
        "max_text_chars": 100,
        "metrics": True,
    }
    return Serve(**{**defaults, **changes})


def application(
    fake: FakeDispatcher,
    control: FakeControl | None = None,
    budget: Budget | None = None,
    batches: Batches | None = None,
    kept: Kept | None = None,
    **changes: Any,
) -> Starlette:
    """The real application around the fakes."""
    dispatcher = cast(Dispatcher, fake)
    answering = cast(Control, control or FakeControl(report(chat="ready")))
    budget = budget or Budget(1 << 30)
    metrics = Metrics(dispatcher, answering, budget)
    serve = limits(**changes)
    return build(dispatcher, answering, serve, metrics, budget, batches, kept=kept)
