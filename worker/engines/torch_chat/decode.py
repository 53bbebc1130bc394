"""One more token for every answer being written."""

from __future__ import annotations

import itertools

import torch

from worker.engines.torch_chat.attention import Batch, Span, Spans
from worker.engines.torch_chat.batch_slots import Rows
from worker.engines.torch_chat.flash import Flash
from worker.engines.torch_chat.kv import KeyValues
from worker.engines.torch_chat.language_model import Language
from worker.engines.torch_chat.sampling import Need, pick


class Decoder:
    """Steps on the first rows of `Rows`. ``longest`` is a bound on the tokens of a sequence."""

    def __init__(
        self, language: Language, kv: KeyValues, rows: Rows, *, unit: int, longest: int
    ) -> None:
        self._language = language
        self._kv = kv
        self._rows = rows
        self._unit = unit
        self._longest = longest
        self._firsts: dict[int, torch.Tensor] = {}

    def by_spans(self, spans: list[Span], need: Need) -> None:
        """A step of sequences that the host knows, for any device."""
        batch = Spans(self._kv, spans, self._unit, self._language.device)
        self._step(len(spans), batch, need)

    def by_rows(self, count: int, need: Need) -> None:
        """A step of ``count`` rows of which the host knows nothing, so that it can be captured."""
        rows = slice(0, count)
        if count not in self._firsts:
            self._firsts[count] = torch.arange(count + 1, device=self._language.device).int()
        lengths, starts = self._rows.lengths(rows), self._rows.starts(rows)
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
        rows = slice(0, count)
        tokens, positions = self._rows.tokens(rows), self._rows.positions(rows)
        logits = self._language.logits(tokens, positions, batch)
        context = self._rows.lengths(rows) + 1
        picked = pick(logits, self._rows.choices(rows), context, need)
        self._rows.advance(rows, picked)


def sizes(slots: int) -> list[int]:
    """For how many rows a step is captured: powers of two, and all."""
    powers = itertools.takewhile(lambda size: size < slots, (2**at for at in itertools.count()))
    return [*powers, slots]
