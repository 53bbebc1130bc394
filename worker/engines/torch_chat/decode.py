"""One more token for every answer being written, or several where guesses of them are right."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch

from worker.engines.torch_chat.attention import Batch, Span, Spans
from worker.engines.torch_chat.batch_slots import BatchSlots
from worker.engines.torch_chat.flash import Flash
from worker.engines.torch_chat.kv import KeyValues, to_device
from worker.engines.torch_chat.language_model import LanguageModel
from worker.engines.torch_chat.sampling import Need, pick


class Decode:
    """Steps on the first slots. ``longest`` is a bound on the tokens of a sequence."""

    def __init__(
        self,
        language_model: LanguageModel,
        kv: KeyValues,
        slots: BatchSlots,
        *,
        unit: int,
        longest: int,
    ) -> None:
        self._language_model = language_model
        self._kv = kv
        self._slots = slots
        self._unit = unit
        self._longest = longest
        self._firsts: dict[int, torch.Tensor] = {}

    def by_spans(self, spans: list[Span], need: Need) -> None:
        """A step of sequences that the host knows, for any device."""
        batch = Spans(self._kv, spans, self._unit, self._language_model.device)
        self._step(len(spans), batch, need)

    def by_guesses(
        self, spans: list[Span], guesses: list[Sequence[int]], need: Need
    ) -> list[Sequence[int]]:
        """A step of sequences that the host knows, each of which is its slot's newest token and
        what is guessed to follow it. Returns how much of each guess was right: the slot's newest
        token is then what follows that.

        A token is picked behind every guess as it would be without one, so answers stay what they
        are. Slots that have guesses depend on no token before but by the model.
        """
        slots = slice(0, len(spans))
        rows = _Rows(spans, guesses, self._language_model.device)
        batch = Spans(self._kv, spans, self._unit, self._language_model.device)
        ids = rows.laid_out(self._slots.tokens(slots), rows.guessed)
        positions = self._slots.positions(slots)
        places = rows.laid_out(positions, positions[rows.owners] + rows.behind)
        logits = self._language_model.logits(ids, places, batch)
        choices, context = self._slots.choices(slots), self._slots.lengths(slots) + 1
        first_logits = logits[rows.firsts]
        picked = pick(first_logits, choices, context, need)
        if need.told:
            self._slots.tell(slots, first_logits, picked)
        behind = pick(
            logits[rows.others],
            choices.of(rows.owners, need),
            context[rows.owners] + rows.behind,
            need.of_guesses,
        )
        right, newest = _checked(guesses, picked.tolist(), behind.tolist())
        steps = to_device([len(one) for one in right], picked.device)
        self._slots.advance(slots, to_device(newest, picked.device), steps)
        return right

    def by_slots(self, count: int, need: Need) -> None:
        """A step of ``count`` slots of which the host knows nothing, so that it can be captured."""
        slots = slice(0, count)
        if count not in self._firsts:
            self._firsts[count] = torch.arange(count + 1, device=self._language_model.device).int()
        lengths, starts = self._slots.lengths(slots), self._slots.starts(slots)
        batch = Flash(
            self._kv,
            index=starts + lengths,
            firsts=self._firsts[count],
            starts=starts.int(),
            lengths=(lengths + 1).int(),
            most_new=1,
            longest=self._longest,
        )
        self._step(count, batch, need)

    def _step(self, count: int, batch: Batch, need: Need) -> None:
        slots = slice(0, count)
        tokens, positions = self._slots.tokens(slots), self._slots.positions(slots)
        logits = self._language_model.logits(tokens, positions, batch)
        context = self._slots.lengths(slots) + 1
        picked = pick(logits, self._slots.choices(slots), context, need)
        if need.told:
            self._slots.tell(slots, logits, picked)
        self._slots.advance(slots, picked)


class _Rows:
    """Where the tokens of ``spans`` stand in a batch: ``firsts`` are the newest ones of the slots,
    ``others`` the ``guessed`` ones, each of which is so far ``behind`` that of its owner."""

    def __init__(
        self, spans: list[Span], guesses: list[Sequence[int]], device: torch.device
    ) -> None:
        places = [
            (slot, span.first + at, at)
            for slot, (span, guess) in enumerate(zip(spans, guesses, strict=True))
            for at in range(1, len(guess) + 1)
        ]
        owners, others, behind = zip(*places, strict=True)
        self.firsts = to_device([span.first for span in spans], device)
        self.owners = to_device(list(owners), device)
        self.others = to_device(list(others), device)
        self.behind = to_device(list(behind), device)
        self.guessed = to_device([token for guess in guesses for token in guess], device)

    def laid_out(self, firsts: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Numbers of the newest tokens and of the guessed ones, in the order of the batch."""
        made = firsts.new_empty(len(firsts) + len(others))
        made[self.firsts], made[self.others] = firsts, others
        return made


def _checked(
    guesses: list[Sequence[int]], picked: list[int], behind: list[int]
) -> tuple[list[Sequence[int]], list[int]]:
    """Which ``guesses`` of each slot were right, and the token that follows those, by what was
    ``picked`` behind its newest token and ``behind`` each of its guesses."""
    right: list[Sequence[int]] = []
    newest: list[int] = []
    following = iter(behind)
    for guess, first in zip(guesses, picked, strict=True):
        found = [first, *itertools.islice(following, len(guess))]
        count = next((at for at, token in enumerate(guess) if token != found[at]), len(guess))
        right.append(guess[:count])
        newest.append(found[count])
    return right, newest


def sizes(slots: int) -> list[int]:
    """For how many slots a step is captured: powers of two, and all."""
    powers = itertools.takewhile(lambda size: size < slots, (2**at for at in itertools.count()))
    return [*powers, slots]
