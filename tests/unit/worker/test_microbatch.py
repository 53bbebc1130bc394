"""Micro-batching as histories: jobs come in, steps are taken, a fake clock moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest, OutOfMemory
from ipc.messages.events import Done, EmbedResult, Event, Failed, Usage
from ipc.messages.jobs import EmbedInput, Job
from ipc.messages.spec import Loaded, Spec
from worker.engine import Stage
from worker.microbatch import MicroBatch


class Lengths:
    """A `Batched` model whose texts are their own lengths: "7" is an item of 7 tokens."""

    def __init__(self, device: str = "cpu") -> None:
        self.batches: list[list[int]] = []
        self.broken = False
        self.closed = False
        self._device = device

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        stage(f"loading {spec.name}")
        return Loaded(device=self._device)

    def split(self, job: Job) -> list[int]:
        assert isinstance(job.input, EmbedInput)
        if "bad" in job.input.texts:
            raise InvalidRequest("a bad text")
        return [int(text) for text in job.input.texts]

    def size(self, item: int) -> int:
        return item

    def key(self, item: int) -> int:
        return item

    def run(self, items: Sequence[int]) -> list[bytes]:
        if self.broken:
            raise OutOfMemory("no memory left")
        self.batches.append(list(items))
        return [bytes([item]) for item in items]

    def join(self, job: Job, items: Sequence[int], outputs: Sequence[bytes]) -> EmbedResult:
        assert isinstance(job.input, EmbedInput)
        assert len(job.input.texts) == len(items) == len(outputs)
        if 13 in items:
            raise InvalidRequest("13 brings bad luck")
        usage = Usage(prompt_tokens=sum(items))
        vectors = Blob(b"".join(outputs))
        return EmbedResult(vectors=vectors, count=len(items), dimensions=1, usage=usage)

    def close(self) -> None:
        self.closed = True


class Bench:
    """A `MicroBatch` over `Lengths`, with the time in ``now``."""

    def __init__(
        self, *, device: str = "cpu", model: Lengths | None = None, **limits: float
    ) -> None:
        self.now = 100.0
        self.model = model or Lengths(device)
        self.batch = MicroBatch(self.model, lambda: self.now)
        spec = {"slots": 4, "batch_window_ms": 10.0, "batch_tokens": 64, **limits}
        self.batch.load(Spec(name="m", task="embed", engine="fake", path="", **spec), print)  # type: ignore[arg-type]

    def admit(self, job_id: str, *lengths: int | str) -> bool:
        texts = [str(length) for length in lengths]
        return self.batch.admit(
            Job(id=job_id, model="m", input=EmbedInput(texts=texts), deadline_at=1e9)
        )

    def run(self) -> list[Event]:
        """Step until nothing is left."""
        events: list[Event] = []
        while self.batch.wait_s() is not None:
            events += self.batch.step()
        return events


def ended(events: list[Event]) -> list[str]:
    return [event.job for event in events]


# --- When a batch goes ---------------------------------------------------------------------------


def test_with_nothing_in_hand_there_is_nothing_to_wait_for() -> None:
    bench = Bench()
    assert bench.batch.wait_s() is None
    assert bench.batch.step() == []


def test_a_small_batch_waits_for_the_window_of_its_oldest_job() -> None:
    bench = Bench(batch_window_ms=10.0)
    bench.admit("a", 5)
    assert bench.batch.wait_s() == pytest.approx(0.010)
    bench.now += 0.004
    bench.admit("b", 5)
    assert bench.batch.wait_s() == pytest.approx(0.006)
    bench.now += 0.007
    assert bench.batch.wait_s() == 0


def test_a_batch_goes_at_once_when_every_slot_is_taken() -> None:
    bench = Bench(slots=2)
    bench.admit("a", 5)
    bench.admit("b", 5)
    assert bench.batch.wait_s() == 0


def test_a_batch_goes_at_once_when_the_token_budget_is_full() -> None:
    bench = Bench(batch_tokens=64)
    bench.admit("a", 32, 31)
    assert bench.batch.wait_s() != 0
    bench.admit("b", 1)
    assert bench.batch.wait_s() == 0


def test_a_client_that_is_alone_never_waits_for_company() -> None:
    bench = Bench()
    bench.admit("a", 5)
    bench.run()
    bench.admit("b", 5)
    assert bench.batch.wait_s() == 0


def test_who_was_answered_together_is_waited_for() -> None:
    bench = Bench(batch_window_ms=10.0)
    for job_id in "ab":
        bench.admit(job_id, 5)
    bench.run()
    bench.admit("c", 5)
    assert bench.batch.wait_s() == pytest.approx(0.010)
    bench.admit("d", 5)
    assert bench.batch.wait_s() == 0


def test_there_is_room_for_so_many_jobs_and_no_more() -> None:
    bench = Bench(slots=2)
    assert bench.admit("a", 5)
    assert bench.admit("b", 5)
    assert not bench.admit("c", 5)
    bench.run()
    assert bench.admit("c", 5)


# --- What goes into a batch ----------------------------------------------------------------------


def test_jobs_of_one_length_share_a_forward() -> None:
    bench = Bench()
    bench.admit("a", 5, 5)
    bench.admit("b", 5)
    assert ended(bench.batch.step()) == ["a", "b"]
    assert bench.model.batches == [[5, 5, 5]]


def test_a_batch_keeps_within_the_token_budget() -> None:
    bench = Bench(batch_tokens=64)
    bench.admit("a", *[16] * 10)
    bench.run()
    assert [len(batch) for batch in bench.model.batches] == [4, 4, 2]


def test_an_item_beyond_the_budget_goes_alone() -> None:
    bench = Bench(batch_tokens=64)
    bench.admit("a", 200, 199)
    assert ended(bench.run()) == ["a"]
    assert bench.model.batches == [[200], [199]]


def test_a_batch_takes_the_nearest_lengths_while_they_bring_little_padding() -> None:
    bench = Bench(batch_tokens=320)  # so up to 10 tokens of padding
    bench.admit("a", 20, 60, 21, 18, 2, 24, 61)
    (done,) = bench.run()
    assert bench.model.batches == [[18, 20, 21], [60, 61], [2], [24]]
    assert isinstance(done, Done)
    assert done.padding_tokens == 3 + 1 + 1


def test_on_a_cpu_the_budget_grows_with_its_threads_and_no_further() -> None:
    cpu, gpu = (
        Bench(device=device, threads=2, batch_tokens=10_000) for device in ("cpu", "cuda:0")
    )
    for bench in (cpu, gpu):
        bench.admit("a", *[100] * 80)
        bench.batch.step()
    assert [len(batch) for batch in cpu.model.batches] == [20]
    assert [len(batch) for batch in gpu.model.batches] == [80]


# --- Who comes first -----------------------------------------------------------------------------


def test_the_oldest_job_is_always_in_the_batch() -> None:
    bench = Bench(batch_tokens=64)
    bench.admit("old", 60)
    bench.admit("b", *[10] * 6)
    bench.admit("c", *[10] * 6)
    assert ended(bench.batch.step()) == ["old"]


def test_a_big_job_does_not_hold_up_a_small_one() -> None:
    bench = Bench(batch_tokens=64)
    bench.admit("big", *[16] * 400)
    bench.batch.step()
    bench.admit("small", 50)
    events = bench.batch.step() + bench.batch.step()
    assert ended(events) == ["small"]


def test_jobs_of_like_size_are_finished_one_after_the_other() -> None:
    bench = Bench(batch_tokens=40)
    bench.admit("a", *[10] * 8)
    bench.admit("b", *[20] * 4)
    bench.admit("c", *[40] * 2)
    bench.run()
    assert bench.model.batches == [[10] * 4, [10] * 4, [20, 20], [20, 20], [40], [40]]


def test_a_single_short_item_is_next_whatever_waits() -> None:
    bench = Bench(batch_tokens=64)
    bench.admit("a", *[16] * 4)
    bench.admit("b", *[30] * 2)
    bench.admit("short", 4)
    assert ended(bench.batch.step()) == ["short"]


def test_outputs_stand_in_the_order_of_the_items() -> None:
    bench = Bench(batch_tokens=64)
    bench.admit("a", 30, 3, 31, 4, 60)
    (done,) = bench.run()
    assert isinstance(done, Done)
    assert isinstance(done.result, EmbedResult)
    assert done.result.vectors.data == bytes([30, 3, 31, 4, 60])
    assert len(bench.model.batches) > 1


# --- How a job ends ------------------------------------------------------------------------------


def test_every_job_ends_exactly_once() -> None:
    bench = Bench(slots=50, batch_tokens=64)
    jobs = [f"j{number:02}" for number in range(50)]
    for number, job_id in enumerate(jobs):
        bench.admit(job_id, *[1 + (number * 7 + at * 11) % 60 for at in range(number % 9 + 1)])
    events = bench.run()
    assert sorted(ended(events)) == jobs
    assert sum(map(len, bench.model.batches)) == sum(number % 9 + 1 for number in range(50))


def test_a_dropped_job_is_in_no_later_batch_and_frees_its_place() -> None:
    bench = Bench(slots=2, batch_tokens=64)
    bench.admit("a", *[16] * 8)
    bench.admit("b", *[16] * 8)
    bench.batch.step()
    bench.batch.drop("a")
    bench.batch.drop("a")
    bench.batch.drop("never-heard-of")
    assert bench.admit("c", 16)
    assert ended(bench.run()) == ["c", "b"]
    assert bench.model.batches == [[16] * 4, [16] * 4, [16] * 4, [16]]


def test_what_a_dropped_job_waited_for_no_longer_fills_a_batch() -> None:
    bench = Bench(batch_tokens=64, batch_window_ms=10.0)
    bench.admit("a", 60)
    bench.batch.drop("a")
    bench.admit("b", 5)
    assert bench.batch.wait_s() == pytest.approx(0.010)


def test_dropping_the_last_job_leaves_nothing_to_do() -> None:
    bench = Bench(batch_tokens=64)
    bench.admit("a", *[16] * 8)
    bench.batch.step()
    bench.batch.drop("a")
    assert bench.batch.wait_s() is None
    assert bench.batch.step() == []


def test_an_error_ends_the_jobs_of_its_batch_and_no_others() -> None:
    bench = Bench(batch_tokens=64)
    bench.admit("a", 10, 60)
    bench.admit("b", 10)
    bench.admit("c", 30)
    bench.model.broken = True
    failures = bench.batch.step()
    assert ended(failures) == ["a", "b"]
    assert [e.error.code for e in failures if isinstance(e, Failed)] == ["out_of_memory"] * 2
    bench.model.broken = False
    assert ended(bench.run()) == ["c"]
    assert bench.model.batches == [[30]]


def test_a_result_that_cannot_be_put_together_fails_its_job_only() -> None:
    bench = Bench()
    bench.admit("a", 13)
    bench.admit("b", 13 - 1)
    failed, done = bench.run()
    assert isinstance(failed, Failed)
    assert failed.error.message == "13 brings bad luck"
    assert isinstance(done, Done)


def test_a_job_that_cannot_be_cut_up_is_refused_and_leaves_no_trace() -> None:
    bench = Bench()
    with pytest.raises(InvalidRequest):
        bench.admit("a", "bad")
    assert bench.batch.wait_s() is None


def test_closing_closes_the_model() -> None:
    bench = Bench()
    bench.batch.close()
    assert bench.model.closed


# --- What was computed before --------------------------------------------------------------------


def vectors(event: Event) -> bytes:
    assert isinstance(event, Done)
    assert isinstance(event.result, EmbedResult)
    return event.result.vectors.data


def counts(event: Event) -> tuple[int, int]:
    assert isinstance(event, Done)
    return event.cache_hits, event.cache_misses


def test_a_text_that_was_computed_before_needs_no_forward_and_no_window() -> None:
    bench = Bench(cache_items=8)
    bench.admit("a", 3, 5)
    (first,) = bench.run()
    bench.admit("b", 5, 3)
    assert bench.batch.wait_s() == 0
    (again,) = bench.batch.step()
    assert bench.model.batches == [[3, 5]]
    assert (vectors(again), counts(again)) == (bytes([5, 3]), (2, 0))
    assert counts(first) == (0, 2)
    assert bench.batch.wait_s() is None


class Buffered(Lengths):
    """Its outputs are views of one buffer, which the next forward writes over."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = np.zeros(8, np.uint8)

    def run(self, items: Sequence[int]) -> Any:
        super().run(items)
        self.buffer[: len(items)] = items
        return [self.buffer[at : at + 1] for at in range(len(items))]


def test_what_is_kept_is_a_copy() -> None:
    bench = Bench(model=Buffered(), cache_items=8)
    bench.admit("a", 3, 5)
    bench.run()
    bench.admit("b", 7, 8)
    bench.run()
    bench.admit("c", 3, 5)
    (again,) = bench.run()
    assert (vectors(again), counts(again)) == (bytes([3, 5]), (2, 0))


def test_only_what_is_new_is_computed() -> None:
    bench = Bench(cache_items=8)
    bench.admit("a", 3)
    bench.run()
    bench.admit("b", 3, 7)
    (done,) = bench.run()
    assert bench.model.batches == [[3], [7]]
    assert (vectors(done), counts(done)) == (bytes([3, 7]), (1, 1))


def test_a_cached_job_does_not_hurry_those_that_fill_a_batch() -> None:
    bench = Bench(cache_items=8)
    bench.admit("a", 3)
    bench.admit("d", 4)
    bench.run()
    bench.admit("b", 7)
    bench.admit("c", 3)
    assert ended(bench.batch.step()) == ["c"]
    assert bench.batch.wait_s() == pytest.approx(0.01)
    assert bench.model.batches == [[3, 4]]


def test_what_was_asked_for_longest_ago_is_forgotten() -> None:
    bench = Bench(cache_items=2)
    for job_id, length in (("a", 1), ("b", 2), ("c", 1), ("d", 3), ("e", 1), ("f", 2)):
        bench.admit(job_id, length)
        bench.run()
    assert bench.model.batches == [[1], [2], [3], [2]]


def test_without_a_cache_everything_is_computed_and_nothing_counted() -> None:
    bench = Bench(cache_items=0)
    bench.admit("a", 3)
    bench.run()
    bench.admit("b", 3)
    (done,) = bench.run()
    assert bench.model.batches == [[3], [3]]
    assert counts(done) == (0, 0)


def test_the_outputs_of_a_job_that_failed_are_not_kept() -> None:
    bench = Bench(cache_items=8)
    bench.admit("a", 13, 4)
    (failed,) = bench.run()
    assert isinstance(failed, Failed)
    bench.admit("b", 4)
    (done,) = bench.run()
    assert counts(done) == (0, 1)


def test_a_cached_job_can_be_dropped() -> None:
    bench = Bench(cache_items=8)
    bench.admit("a", 3)
    bench.run()
    bench.admit("b", 3)
    bench.batch.drop("b")
    assert bench.batch.wait_s() is None
