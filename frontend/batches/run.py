"""One batch, from where it stands to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass

from frontend.batches import results as lines_out
from frontend.batches.places import Places
from frontend.batches.records import Batch, File, Index, Problem
from frontend.batches.request_lines import (
    Checked,
    Line,
    Place,
    check_file,
    line_of,
    read_piece,
)
from frontend.batches.results import Results
from frontend.batches.retry import GAVE_WAY_S, Outcome, wait_s
from frontend.batches.store import Store
from ipc.messages.errors import ServeError

logger = logging.getLogger(__name__)

# Of one batch. They are bodies that wait for a slot, and what clients send has to fit beside them.
MOST_BYTES = 16 << 20

Ask = Callable[[str, bytes, str | None], Awaitable[Outcome]]
# Raises the `ServeError` of a model that is not served at an endpoint.
CheckModel = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Means:
    """What runs work with. ``turns`` has a place for each batch that may run at once, ``checks``
    for each file that may be looked at; ``now`` is in seconds since 1970."""

    store: Store
    ask: Ask
    check_model: CheckModel
    now: Callable[[], int]
    turns: asyncio.Semaphore
    checks: asyncio.Semaphore
    lines_at_once: int
    max_lines: int
    max_line_bytes: int


class Run:
    """Takes a batch to its end, unless its task is cancelled: then another run goes on with it.

    ``window_s`` is what is left of its time.
    """

    def __init__(self, batch: Batch, means: Means, window_s: float) -> None:
        self._id = batch.id
        self._its = means
        self._ends_at = asyncio.get_running_loop().time() + window_s
        self._work: asyncio.Task[None] | None = None

    @property
    def _batch(self) -> Batch:
        return self._its.store.index.batches[self._id]

    @property
    def _has_ended(self) -> bool:
        """One that is not there any more has ended, and was nobody's."""
        batch = self._its.store.index.batches.get(self._id)
        return batch is None or batch.has_ended

    def call_off(self) -> None:
        """The batch has been called off: stop what is going on."""
        if self._work is not None:
            self._work.cancel()

    async def __call__(self) -> None:
        """Raises `OSError` where the disk does not take what there is to write."""
        in_time = True
        if self._batch.status == "validating":
            in_time = await self._in_time(self._validate())
        if self._has_ended:
            return
        with self._its.store.results(self._batch) as results:
            try:
                done = await self._its.store.do(results.open)
                if in_time and self._batch.status == "in_progress":
                    in_time = await self._in_time(self._answer(results, done))
                await self._finish(results, in_time=in_time)
            finally:
                await asyncio.shield(self._its.store.do(results.close))

    async def _in_time(self, work: Coroutine[None, None, None]) -> bool:
        """Whether it ended by itself, or was called off, within the batch's time. Raises what it
        does."""
        left_s = max(0.0, self._ends_at - asyncio.get_running_loop().time())
        self._work = task = asyncio.create_task(work)
        if self._batch.status == "cancelling":  # since before there was a task to cancel
            task.cancel()
        try:
            done, _ = await asyncio.wait({task}, timeout=left_s)
        finally:
            self._work = None
            task.cancel()
            await asyncio.wait({task})
        if task in done and not task.cancelled():
            task.result()
        return bool(done)

    # --- its file ---

    async def _validate(self) -> None:
        its, batch = self._its, self._batch
        async with its.checks:
            try:
                path = its.store.path(batch.input_id)
                limits = its.max_line_bytes, its.max_lines
                checked = await asyncio.to_thread(check_file, path, batch.endpoint, *limits)
            except OSError as error:
                checked = Checked(problems=[_unreadable(error)])
        problems = (*checked.problems, *self._unknown(checked.models))
        if problems:
            await its.store.change_batch(batch.id, lambda old: old.refused(problems, its.now()))
        else:
            total = checked.total
            await its.store.change_batch(batch.id, lambda old: old.begun(total, its.now()))

    def _unknown(self, models: dict[str, int]) -> list[Problem]:
        found = []
        for name, number in models.items():
            try:
                self._its.check_model(self._batch.endpoint, name)
            except ServeError as error:
                problem = Problem(
                    code=error.code, message=error.message, line=number, param="body.model"
                )
                found.append(problem)
        return found

    # --- its lines ---

    async def _answer(self, results: Results, done: set[str]) -> None:
        """Have all lines answered but those that are ``done``, which are forgotten on the way."""
        places = Places(self._its.lines_at_once, MOST_BYTES)
        async with self._its.turns, asyncio.TaskGroup() as lines:
            async for line in self._lines():
                if line.custom_id in done:
                    done.remove(line.custom_id)
                    continue
                await places.take(len(line.body))
                lines.create_task(self._one(line, results, places))
        await self._its.store.change_batch(self._id, lambda old: old.all_done(self._its.now()))

    async def _lines(self) -> AsyncIterator[Line]:
        path, most = self._its.store.path(self._batch.input_id), self._its.max_line_bytes
        place = Place()
        while True:
            piece, place = await asyncio.to_thread(read_piece, path, place, most)
            if not piece:
                return
            for number, raw in piece:
                yield line_of(number, raw)

    async def _one(self, line: Line, results: Results, places: Places) -> None:
        try:
            outcome = await self._outcome(line)
            text = lines_out.answered(line.custom_id, *outcome)
            await self._its.store.add_result(results, text, ok=outcome.ok)
        finally:
            places.give_back(len(line.body))

    async def _outcome(self, line: Line) -> Outcome:
        """The last answer to a line: one that says that the server is busy is not."""
        batch, tries = self._batch, 0
        while (outcome := await self._its.ask(batch.endpoint, line.body, batch.key)).passes:
            tries += not outcome.gave_way
            await asyncio.sleep(GAVE_WAY_S if outcome.gave_way else wait_s(tries))
        return outcome

    # --- its end ---

    async def _finish(self, results: Results, *, in_time: bool) -> None:
        """Have the results on the disk, and then the word that the batch has ended."""
        store = self._its.store
        if not in_time and self._batch.status == "in_progress":
            await self._expire(results)
        await store.do(results.flush)
        files = self._files(results)
        counts = results.completed, results.failed
        results_ids = {self._batch.output_id, self._batch.errors_id}

        def ended(old: Index) -> Index:
            batch = old.batches[self._id].ended(*counts, self._its.now())
            return old.with_files(*files).with_batch(batch)

        await store.change(ended)
        for empty in results_ids - {file.id for file in files}:
            await store.remove(empty)

    async def _expire(self, results: Results) -> None:
        """Say of each line without an answer that there was no time for one."""
        done = await self._its.store.do(results.open)
        with contextlib.suppress(FileNotFoundError):
            async for line in self._lines():
                if line.custom_id not in done:
                    await self._its.store.do(
                        results.add, lines_out.expired(line.custom_id), ok=False
                    )

    def _files(self, results: Results) -> list[File]:
        batch, now = self._batch, self._its.now()
        sizes = {
            (batch.output_id, "output"): results.output.size_bytes,
            (batch.errors_id, "error"): results.errors.size_bytes,
        }
        return [
            File(
                id=file_id,
                name=f"{batch.id}_{kind}.jsonl",
                purpose="batch_output",
                size_bytes=size_bytes,
                created_at=now,
                key=batch.key,
            )
            for (file_id, kind), size_bytes in sizes.items()
            if size_bytes
        ]


def _unreadable(error: OSError) -> Problem:
    return Problem(code="unreadable_file", message=f"the file cannot be read: {error.strerror}")
