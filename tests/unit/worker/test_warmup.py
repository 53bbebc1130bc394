"""Warm-up: what is asked of a model, how often, how many at once, and what may go wrong."""

from __future__ import annotations

import io

import pytest
from PIL import Image as Picture

from ipc.facts.samples import grey_png
from ipc.messages.errors import InternalError
from ipc.messages.events import ChatResult, Done, Event, Failed, Usage
from ipc.messages.jobs import (
    ChatInput,
    EmbedInput,
    Image,
    Input,
    Job,
    RerankInput,
    SpeechInput,
    Task,
)
from ipc.messages.spec import Loaded, Spec, Warmup
from worker import engine as worker_engine
from worker.engine import LoadError, Stage
from worker.warmup import at_once, warm


class Engine(worker_engine.Engine):
    """Answers each job one step after it was admitted, if it has room for it."""

    def __init__(self, room: int = 8, fails: bool = False) -> None:
        self.room = room
        self.fails = fails
        self.batches: list[list[Input]] = []
        self._jobs: list[Job] = []

    def load(self, spec: Spec, stage: Stage) -> Loaded:  # noqa: ARG002
        return Loaded(device="cpu")

    def admit(self, job: Job) -> bool:
        if len(self._jobs) >= self.room:
            return False
        self._jobs.append(job)
        return True

    def step(self) -> list[Event]:
        jobs, self._jobs = self._jobs, []
        self.batches.append([job.input for job in jobs])
        if self.fails:
            error = InternalError("no kernel for this").info()
            return [Failed(job=job.id, error=error) for job in jobs]
        return [Done(job.id, ChatResult(finish="stop", usage=Usage())) for job in jobs]

    def wait_s(self) -> float | None:
        return 0.0 if self._jobs else None

    def drop(self, job_id: str) -> None:
        self._jobs = [job for job in self._jobs if job.id != job_id]

    def close(self) -> None:
        pass


def spec(task: Task = "chat", device: str = "cpu", *, vision: bool = False, **warmup: int) -> Spec:
    return Spec(
        name="acme/one",
        task=task,
        engine="own.Engine",
        path="",
        slots=4,
        device=device,
        vision=vision,
        warmup=Warmup(**warmup),
    )


@pytest.mark.parametrize(
    ("task", "capability", "kind"),
    [
        ("chat", "chat-completion", ChatInput),
        ("embed", "text-embedding", EmbedInput),
        ("rerank", "rerank", RerankInput),
        ("speech", "audio-transcription", SpeechInput),
    ],
)
def test_a_model_answers_one_job_of_its_task(task: Task, capability: str, kind: type) -> None:
    engine = Engine()
    assert warm(engine, spec(task)) == {capability: "ok"}
    assert [[type(asked) for asked in batch] for batch in engine.batches] == [[kind]]


def test_a_model_with_vision_is_warm_when_it_has_seen_an_image() -> None:
    engine = Engine()
    assert warm(engine, spec(vision=True)) == {"chat-completion": "ok", "vision": "ok"}
    seen = engine.batches[1][0]
    assert isinstance(seen, ChatInput)
    assert any(isinstance(part, Image) for part in seen.messages[0].content)


@pytest.mark.parametrize(("context_tokens", "words"), [(None, 1000), (4096, 1000), (400, 100)])
def test_a_chat_model_on_a_gpu_is_warm_when_it_has_read_a_long_prompt_too(
    context_tokens: int | None, words: int
) -> None:
    engine = Engine()
    warm(engine, spec(device="cuda:0"), context_tokens)
    (short,), (long,) = engine.batches
    assert isinstance(short, ChatInput)
    assert isinstance(long, ChatInput)
    assert len(short.messages[0].text.split()) == 1
    assert len(long.messages[0].text.split()) == words


def test_without_warm_up_nothing_is_asked_and_that_is_told() -> None:
    engine = Engine()
    assert warm(engine, spec(vision=True, steps=0)) == {
        "chat-completion": "skipped",
        "vision": "skipped",
    }
    assert engine.batches == []


def test_rounds_and_jobs_at_once_are_as_told() -> None:
    engine = Engine()
    warm(engine, spec(steps=2, batch_size=3))
    assert [len(batch) for batch in engine.batches] == [3, 3]


@pytest.mark.parametrize("task", ["embed", "rerank"])
def test_no_round_can_be_answered_from_a_cache(task: Task) -> None:
    engine = Engine()
    warm(engine, spec(task, steps=2))
    (first,), (second,) = engine.batches
    assert first != second


def test_an_engine_with_less_room_answers_them_one_after_another() -> None:
    engine = Engine(room=1)
    warm(engine, spec(batch_size=3))
    assert [len(batch) for batch in engine.batches] == [1, 1, 1]


def test_an_engine_without_any_room_is_broken() -> None:
    with pytest.raises(LoadError, match="no room in an empty engine"):
        warm(Engine(room=0), spec())


def test_a_failure_says_which_capability_and_why() -> None:
    with pytest.raises(LoadError, match="warm-up of chat-completion failed: no kernel") as raised:
        warm(Engine(fails=True), spec())
    assert not raised.value.permanent


# device, batch size, budget, per job, free -> jobs at once, of a model with four slots
ROOM = [
    ("cpu", 2, 0, 0, None, 2),
    ("cpu", 9, 0, 0, None, 4),  # no more than slots
    ("cpu", 4, 1000, 1000, None, 4),  # the bound is one of CUDA
    ("cuda:0", 4, 0, 0, 1000, 4),
    ("cuda:0", 4, 4096, 1024, 1000, 4),
    ("cuda:0", 4, 2048, 1024, 9000, 2),
    ("cuda:0", 4, 0, 1024, 3000, 2),  # what is free is the budget
    ("cuda:0", 4, 0, 1024, 100, 1),  # but one there must be
    ("cuda:0", 4, 0, 1024, None, 4),  # nobody knows what is free
]


@pytest.mark.parametrize(("device", "batch", "budget", "each", "free", "expected"), ROOM)
def test_jobs_at_once_fit_the_slots_and_the_memory_of_the_gpu(
    device: str, batch: int, budget: int, each: int, free: int | None, expected: int
) -> None:
    asked = spec(device=device, batch_size=batch, vram_budget_mb=budget, vram_per_job_mb=each)
    assert at_once(asked, free) == expected


def test_the_image_is_a_png_that_others_can_read() -> None:
    with Picture.open(io.BytesIO(grey_png(64))) as picture:
        assert (picture.format, picture.size, picture.getpixel((9, 9))) == ("PNG", (64, 64), 128)
