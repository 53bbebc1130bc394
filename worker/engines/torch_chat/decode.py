"""One more token for every answer being written."""

from __future__ import annotations

import itertools

import torch

from worker.engines.torch_chat.attention import Batch, Span, Spans
from worker.engines.torch_chat.batch_slots import BatchSlots
from worker.engines.torch_chat.flash import Flash
from worker.engines.torch_chat.kv import KeyValues
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


def sizes(slots: int) -> list[int]:
    """For how many slots a step is captured: powers of two, and all."""
    powers = itertools.takewhile(lambda size: size < slots, (2**at for at in itertools.count()))
    return [*powers, slots]
