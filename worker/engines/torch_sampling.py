"""Picking the next token of every row at once, on the device, without waiting for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ipc.types import Sampling

# Below this a temperature is 0: logits divided by less would overflow (vLLM's limit too).
_GREEDY_BELOW = 1e-5


class Choice:
    """How one request picks its tokens, and what it needs to remember between picks."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self.temperature = sampling.temperature
        self.top_p = sampling.top_p
        self.greedy = sampling.temperature < _GREEDY_BELOW
        self.generator: torch.Generator | None = None
        if sampling.seed is not None:
            # A generator of its own makes a row's draws independent of its company in the batch.
            self.generator = torch.Generator(device).manual_seed(sampling.seed & (2**63 - 1))
        self._presence = sampling.presence_penalty
        self._frequency = sampling.frequency_penalty
        self._counts: torch.Tensor | None = None

    def penalise(self, logits: torch.Tensor) -> None:
        """Lower ``logits`` [vocabulary] in place, as the OpenAI reference defines it:
        ``logit - count * frequency_penalty - (count > 0) * presence_penalty``."""
        if self._counts is not None:
            logits -= self._counts * self._frequency + (self._counts > 0) * self._presence

    def remember(self, token: int, vocabulary: int, device: torch.device) -> None:
        """Count a generated ``token`` towards the penalties."""
        if not (self._presence or self._frequency):
            return
        if self._counts is None:
            self._counts = torch.zeros(vocabulary, device=device)
        self._counts[token] += 1


def pick(logits: torch.Tensor, choices: Sequence[Choice]) -> list[int]:
    """One token for each row of ``logits`` [rows, vocabulary], which is used up.

    Costs a single wait for the device, however many rows there are.
    """
    for row, choice in zip(logits, choices, strict=True):
        choice.penalise(row)
    tokens = logits.argmax(-1)
    drawn = [at for at, choice in enumerate(choices) if not choice.greedy]
    if drawn:
        rows = torch.tensor(drawn, device=logits.device)
        tokens[rows] = _draw(logits[rows], [choices[at] for at in drawn])
    picked: list[int] = tokens.tolist()
    for token, choice in zip(picked, choices, strict=True):
        choice.remember(token, logits.shape[-1], logits.device)
    return picked


def _draw(logits: torch.Tensor, choices: Sequence[Choice]) -> torch.Tensor:
    """Sample by inverting the cumulative distribution: one random number a row."""
    temperatures = torch.tensor([c.temperature for c in choices], device=logits.device)
    chances = (logits / temperatures[:, None]).softmax(-1)
    if any(choice.top_p < 1 for choice in choices):
        top_p = torch.tensor([choice.top_p for choice in choices], device=logits.device)
        chances = _nucleus(chances, top_p)
    uniform = torch.rand(len(choices), 1, device=logits.device)
    for row, choice in zip(uniform, choices, strict=True):
        if choice.generator is not None:
            row.uniform_(generator=choice.generator)
    reached = chances.cumsum(-1)
    # In (0, total], never 0: the first token to reach it has a chance of its own.
    return torch.searchsorted(reached, (1 - uniform) * reached[:, -1:])[:, 0]


def _nucleus(chances: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Zero all but each row's likeliest tokens, the fewest that reach ``top_p`` together."""
    ranked = chances.sort(dim=-1, descending=True).values
    outside = ranked.cumsum(-1) - ranked >= top_p[:, None]
    outside[:, 0] = False
    least = ranked.masked_fill(outside, torch.inf).amin(-1, keepdim=True)
    return chances.masked_fill(chances < least, 0)
