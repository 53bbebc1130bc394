"""What the device knows of the answers being written: a slot each, the first ones in use.

Everything that changes from token to token is here and changes on the device, so a step needs
nothing from the host.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from ipc.messages.errors import ServeError
from worker.engines.torch_chat.grammars import Matcher
from worker.engines.torch_chat.kv import to_device
from worker.engines.torch_chat.masks import Masks
from worker.engines.torch_chat.sampling import Choice, Choices, Need
from worker.engines.torch_chat.told import MOST_LIKELY, log_probabilities

# The whole numbers of a slot: the token to run next, its position, how many tokens are before it,
# where the sequence lies, its seed, 1 if the slot is in use, its `top_k`, and how many tokens, the
# prompt's among them, it has at least.
_TOKEN, _POSITION, _LENGTH, _START, _SEED, _USED, _TOP_K, _LEAST = range(8)
_TEMPERATURE, _TOP_P, _PRESENCE, _FREQUENCY, _REPETITION, _MIN_P = range(6)


class BatchSlots:
    """``count`` slots. One that is not in use stands at ``spare``, a place that nobody reads."""

    def __init__(self, count: int, vocabulary: int, spare: int, device: torch.device) -> None:
        self._device = device
        self._free = [0, 0, 0, spare, 0, 0, 0, 0]
        self._whole = torch.tensor([self._free] * count).T.contiguous().to(device)
        self._real = torch.zeros(6, count, device=device)
        self._real[_TOP_P] = 1.0
        self._real[_REPETITION] = 1.0
        self._counts = torch.zeros(count, vocabulary, dtype=torch.int32, device=device)
        self._seen = torch.zeros(count, vocabulary, dtype=torch.bool, device=device)
        self._ends = torch.zeros(count, vocabulary, dtype=torch.bool, device=device)
        # What few requests ask for is made when one does.
        self._shape = (count, vocabulary)
        self._bias: torch.Tensor | None = None
        self._masks: Masks | None = None
        self._told: torch.Tensor | None = None

    def join(
        self,
        slot: int,
        start: int,
        prompt: list[int],
        shift: int,
        choice: Choice,
        written: Sequence[int] = (),
    ) -> None:
        """Put an answer whose ``prompt`` lies at ``start`` and is read into ``slot``; its next
        token is still to be picked. ``written`` are those that it has already."""
        length = len(prompt)
        least = length + choice.min_tokens
        whole = [0, length + shift, length, start, choice.seed, 1, choice.top_k, least]
        real = [choice.temperature, choice.top_p, choice.presence, choice.frequency]
        real += [choice.repetition, choice.min_p]
        self._whole[:, slot] = to_device(whole, self._device)
        self._real[:, slot] = to_device(real, self._device)
        if choice.presence or choice.frequency:
            self._count(self._counts[slot], written)
        if choice.repetition != 1:
            self._mark(self._seen[slot], prompt)
        if choice.min_tokens:
            self._mark(self._ends[slot], choice.ends)
        if self._bias is not None:
            self._bias[slot] = 0.0
        if choice.bias:
            self._set_bias(slot, choice.bias)

    def _set_bias(self, slot: int, bias: Sequence[tuple[int, float]]) -> None:
        if self._bias is None:
            self._bias = torch.zeros(self._shape, device=self._device)
        tokens, values = zip(*bias, strict=True)
        self._bias[slot, to_device(list(tokens), self._device)] = to_device(
            list(values), self._device
        )

    def _count(self, counts: torch.Tensor, tokens: Sequence[int]) -> None:
        """Count ``tokens`` in a row of the vocabulary, and no others."""
        counts.zero_()
        known = [token for token in tokens if 0 <= token < len(counts)]
        if known:
            at = to_device(known, self._device)
            counts.index_add_(0, at, torch.ones_like(at, dtype=counts.dtype))

    def _mark(self, marks: torch.Tensor, tokens: Collection[int]) -> None:
        """Mark ``tokens`` in a row of the vocabulary, and no others."""
        marks.zero_()
        known = [token for token in {*tokens} if 0 <= token < len(marks)]
        if known:
            marks[to_device(known, self._device)] = True

    def leave(self, slot: int, last: int, need: Need) -> None:
        """Free ``slot`` by moving the ``last`` one there, and of the vocabulary what their answers'
        ``need`` uses."""
        if slot != last:
            self._whole[:, slot] = self._whole[:, last]
            self._real[:, slot] = self._real[:, last]
            for marks, used in (
                (self._counts, need.penalised),
                (self._seen, need.repeated),
                (self._ends, need.held),
            ):
                if used:
                    marks[slot] = marks[last]
            if self._bias is not None:
                self._bias[slot] = self._bias[last]
        self._whole[:, last] = to_device(self._free, self._device)

    def tokens(self, slots: slice) -> torch.Tensor:
        """The newest token of each slot."""
        return self._whole[_TOKEN, slots]

    def positions(self, slots: slice) -> torch.Tensor:
        return self._whole[_POSITION, slots]

    def lengths(self, slots: slice) -> torch.Tensor:
        """How many tokens of each slot are kept, the newest not among them."""
        return self._whole[_LENGTH, slots]

    def starts(self, slots: slice) -> torch.Tensor:
        return self._whole[_START, slots]

    def choices(self, slots: slice) -> Choices:
        return Choices(
            temperature=self._real[_TEMPERATURE, slots],
            top_p=self._real[_TOP_P, slots],
            presence=self._real[_PRESENCE, slots],
            frequency=self._real[_FREQUENCY, slots],
            seed=self._whole[_SEED, slots],
            counts=self._counts[slots],
            top_k=self._whole[_TOP_K, slots],
            min_p=self._real[_MIN_P, slots],
            repetition=self._real[_REPETITION, slots],
            least=self._whole[_LEAST, slots],
            seen=self._seen[slots],
            ends=self._ends[slots],
            bias=None if self._bias is None else self._bias[slots],
            admitted=None if self._masks is None else self._masks.on_device[slots],
        )

    def bind(self, first: int, matchers: Sequence[Matcher | None]) -> list[ServeError | None]:
        """Hold each slot from ``first`` on to what its matcher admits next, None for any token.
        Returns what has gone wrong with each; such a one is held to nothing."""
        if self._masks is None:
            self._masks = Masks(*self._shape, self._device)
        return self._masks.put(first, matchers)

    def tell(self, slots: slice, logits: torch.Tensor, tokens: torch.Tensor) -> None:
        """Keep the log probabilities of the ``tokens`` picked, and of those likely, by ``logits``
        as the model made them."""
        if self._told is None:
            self._told = torch.zeros(self._shape[0], 1 + 2 * self.likely, device=self._device)
        self._told[slots] = log_probabilities(logits, tokens, self.likely)

    @property
    def likely(self) -> int:
        """Of how many tokens log probabilities are kept."""
        return min(MOST_LIKELY, self._shape[1])

    def told(self, slots: slice) -> torch.Tensor:
        """What was kept last, as `log_probabilities` gives it."""
        assert self._told is not None
        return self._told[slots]

    def take(self, slots: slice, tokens: torch.Tensor) -> None:
        """Take the first ``tokens`` of slots that have just joined."""
        self._whole[_TOKEN, slots] = tokens

    def advance(
        self, slots: slice, tokens: torch.Tensor, right: torch.Tensor | None = None
    ) -> None:
        """Take the ``tokens`` picked after those that were run: the newest of each slot, and so
        many ``right`` guesses behind it."""
        run = self._whole[_USED, slots]
        if right is not None:
            run = run + right
        self.take(slots, tokens)
        self._whole[_POSITION, slots] += run
        self._whole[_LENGTH, slots] += run
