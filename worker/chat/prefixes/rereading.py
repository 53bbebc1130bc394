"""What a model reads again after it was loaded, and when: in idle time, and at no request's cost.

Pure: it is told the time, and says what is to be done; `worker.loop` does it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from ipc.messages.jobs import ChatInput, Job, Sampling, Tokens
from worker.chat.prefixes.account import PrefixAccount
from worker.chat.prefixes.form import encode

# How long nobody has asked for anything when it begins.
IDLE_S = 0.5
# It reads so much at a time, each piece on what was read before: a request that comes waits for a
# shorter step than a whole prompt has.
PIECE_TOKENS = 128
# How long it may read in all, for one load.
MOST_S = 120.0
# Given up for requests so many times, a prefix is left alone: the others have their turn.
MOST_TRIES = 3
# What has changed is told this often at most.
TELL_S = 2.0


class GiveUp(NamedTuple):
    """Have the engine drop this job."""

    job_id: str


class _Reading(NamedTuple):
    job_id: str
    prefix: list[int]
    end: int  # of what is read of it by now and by this
    began_at: float


class Rereading:
    """Of one worker of ``model``, whose cache has places for ``prompts``, and for so many
    ``tokens``. Times are monotonic seconds.

    Prompts of requests have their places first: what they need is taken from what may be read.
    """

    def __init__(self, account: PrefixAccount, model: str, prompts: int, tokens: int) -> None:
        self._account = account
        self._model = model
        self._prompts = prompts
        self._tokens = tokens
        self._todo = account.hottest(prompts, tokens)
        self._reading: _Reading | None = None
        self._tries = 0  # of the first to do, and how much of it is read
        self._read = 0
        self._left_s = MOST_S
        self._busy_at: float | None = None
        self._ids = map("read-again-{}".format, itertools.count())
        self._changed = False
        self._told = encode(account)
        self._told_at = 0.0
        self.read_tokens = 0  # in all, of whole prefixes

    def note(self, prompt: Sequence[int]) -> None:
        """A request's prompt is read, or being read."""
        self._account.note(prompt)
        self._changed = True
        left = [prefix for prefix in self._todo if list(prompt[: len(prefix)]) != prefix]
        if len(left) == len(self._todo):  # it takes a place of its own
            self._prompts -= 1
            self._tokens -= len(prompt)
        while left and (len(left) > self._prompts or sum(map(len, left)) > self._tokens):
            left.pop()
        if left[:1] != self._todo[:1]:
            self._tries = self._read = 0
        self._todo = left

    def turn(self, now: float, *, busy: bool) -> Job | GiveUp | None:
        """What is to be done now, while there are requests (``busy``) or none."""
        if busy or self._busy_at is None:
            self._busy_at = now
        if self._reading is not None:
            late = now - self._reading.began_at >= self._left_s
            return self._give_up(self._reading, now) if busy or late else None
        if not self._todo or now - self._busy_at < IDLE_S:
            return None
        return self._begin(self._todo[0], now)

    def end(self, job_id: str, now: float, *, well: bool) -> None:
        """The job has ended, if it is one of these: ``well``, or without having read anything."""
        if self._reading is None or self._reading.job_id != job_id:
            return
        reading = self._stop(self._reading, now)
        if well and reading.end < len(reading.prefix):
            self._tries, self._read = 0, reading.end
            return
        self._drop(reading.prefix)
        self.read_tokens += len(reading.prefix) if well else 0

    def news(self, now: float) -> bytes | None:
        """The account for the next worker, if there is anything new in it to be told now."""
        if not self._changed or now - self._told_at < TELL_S:
            return None
        self._changed, self._told_at = False, now
        before, self._told = self._told, encode(self._account)
        return self._told if self._told != before else None

    def _begin(self, prefix: list[int], now: float) -> Job:
        end = min(self._read + PIECE_TOKENS, len(prefix))
        # An answer of one token is the least that can be asked for.
        asked = ChatInput(
            prompts=[Tokens(ids=prefix[:end])], sampling=Sampling(max_tokens=1, temperature=0.0)
        )
        job = Job(
            id=next(self._ids), model=self._model, input=asked, deadline_at=now + self._left_s
        )
        self._reading = _Reading(job.id, prefix, end, now)
        return job

    def _give_up(self, reading: _Reading, now: float) -> GiveUp:
        self._stop(reading, now)
        self._tries += 1
        if self._tries == MOST_TRIES:
            self._drop(reading.prefix)
        return GiveUp(reading.job_id)

    def _stop(self, reading: _Reading, now: float) -> _Reading:
        self._reading = None
        self._left_s -= now - reading.began_at
        if self._left_s <= 0:
            self._todo.clear()
        return reading

    def _drop(self, prefix: list[int]) -> None:
        self._tries = self._read = 0
        if prefix in self._todo:
            self._todo.remove(prefix)
