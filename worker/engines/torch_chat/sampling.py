"""The next token of every row at once, on the device: nothing here waits for it.

A draw depends on a request's seed and on how many tokens are before it, and on nothing else. So a
seed repeats its answer in any company, and there is no generator whose state would have to be kept.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import NamedTuple

import torch

from ipc.messages.jobs import Sampling

# Below this a temperature is 0: logits divided by less would overflow (vLLM's limit too).
_GREEDY_BELOW = 1e-5


class Choice(NamedTuple):
    """How one request picks its tokens."""

    temperature: float  # 0: the likeliest
    top_p: float
    presence: float
    frequency: float
    seed: int
    top_k: int = 0  # 0: all
    min_p: float = 0.0
    repetition: float = 1.0
    min_tokens: int = 0
    ends: tuple[int, ...] = ()  # the tokens that may not come before `min_tokens` others
    bias: tuple[tuple[int, float], ...] = ()  # what is added to the logits of tokens
    told: bool = False  # with its log probabilities
    bound: bool = False  # to what a mask admits

    @classmethod
    def of(cls, sampling: Sampling, eos: Collection[int] = (), *, bound: bool = False) -> Choice:
        """``eos`` are the model's own end tokens; a ``bound`` one has a grammar."""
        seed = random.getrandbits(63) if sampling.seed is None else sampling.seed & (2**63 - 1)
        greedy = sampling.temperature < _GREEDY_BELOW
        return cls(
            temperature=0.0 if greedy else sampling.temperature,
            top_p=sampling.top_p,
            presence=sampling.presence_penalty,
            frequency=sampling.frequency_penalty,
            seed=seed,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            repetition=sampling.repetition_penalty,
            min_tokens=sampling.min_tokens,
            ends=tuple({*eos, *sampling.stop_token_ids}) if sampling.min_tokens else (),
            bias=tuple(sampling.logit_bias.items()),
            told=sampling.logprobs is not None,
            bound=bound,
        )

    @property
    def may_be_guessed(self) -> bool:
        """Whether what it picks depends on the tokens before by the model alone, and none of them
        is told of: then several may be picked at once."""
        is_penalised = self.presence or self.frequency or self.repetition != 1
        return not (is_penalised or self.told or self.bound)


class Need(NamedTuple):
    """What any row of a batch needs: what none does is not computed."""

    drawn: bool
    nucleus: bool
    penalised: bool
    cut: bool = False  # `top_k` or `min_p`
    repeated: bool = False  # a repetition penalty
    held: bool = False  # `min_tokens`
    biased: bool = False
    bound: bool = False  # a grammar
    told: bool = False  # log probabilities

    @classmethod
    def of(cls, choices: list[Choice]) -> Need:
        return cls(
            drawn=any(one.temperature > 0 for one in choices),
            nucleus=any(one.temperature > 0 and one.top_p < 1 for one in choices),
            penalised=any(one.presence or one.frequency for one in choices),
            cut=any(one.temperature > 0 and (one.top_k or one.min_p) for one in choices),
            repeated=any(one.repetition != 1 for one in choices),
            held=any(one.min_tokens for one in choices),
            biased=any(one.bias for one in choices),
            bound=any(one.bound for one in choices),
            told=any(one.told for one in choices),
        )

    @property
    def of_guesses(self) -> Need:
        """What of it a choice that `may_be_guessed` has."""
        return self._replace(penalised=False, repeated=False, bound=False, told=False)

    def covers(self, other: Need) -> bool:
        """Whether a step for this need does what ``other`` needs."""
        return all(have or not wanted for have, wanted in zip(self, other, strict=True))


GREEDY = Need(drawn=False, nucleus=False, penalised=False)
# What most requests name, and all that may be in a graph.
USUAL = Need(drawn=True, nucleus=True, penalised=True)
ALL = Need(drawn=True, nucleus=True, penalised=True, cut=True, repeated=True, held=True)


class Choices(NamedTuple):
    """The `Choice` of each row, [rows] each, and of [rows, vocabulary]: ``counts`` of the tokens
    that it has got, ``seen`` for those and the prompt's, ``ends`` for what may not come after fewer
    than ``least`` tokens, ``bias``. ``admitted`` are the bits of the tokens that may come, int32
    [rows, words]. The last two are there where any row needs them."""

    temperature: torch.Tensor
    top_p: torch.Tensor
    presence: torch.Tensor
    frequency: torch.Tensor
    seed: torch.Tensor
    counts: torch.Tensor
    top_k: torch.Tensor
    min_p: torch.Tensor
    repetition: torch.Tensor
    least: torch.Tensor
    seen: torch.Tensor
    ends: torch.Tensor
    bias: torch.Tensor | None = None
    admitted: torch.Tensor | None = None

    def of(self, rows: torch.Tensor, need: Need) -> Choices:
        """Those of ``rows`` [any number], as far as guesses of ``need`` are picked by them: the
        rest stays as it is."""
        each = {
            name: getattr(self, name)[rows]
            for name in ("temperature", "top_p", "seed", "top_k", "min_p", "least")
        }
        if need.held:
            each["ends"] = self.ends[rows]
        if need.biased and self.bias is not None:
            each["bias"] = self.bias[rows]
        return self._replace(**each)


def pick(logits: torch.Tensor, choices: Choices, context: torch.Tensor, need: Need) -> torch.Tensor:
    """One token for each row of ``logits`` [rows, vocabulary], float32, after ``context`` [rows]
    tokens. ``choices`` remembers what was picked, as far as ``need`` asks for it."""
    if need.repeated:
        logits = repetition_penalised(logits, choices)
    if need.penalised:
        logits = penalised(logits, choices)
    if need.held:
        held = choices.ends & (context < choices.least)[:, None]
        logits = logits.masked_fill(held, -torch.inf)
    if need.biased and choices.bias is not None:
        logits = logits + choices.bias
    if need.bound and choices.admitted is not None:
        logits = logits.masked_fill(~unpacked(choices.admitted, logits.shape[-1]), -torch.inf)
    tokens = logits.argmax(-1)
    if need.drawn:
        drawn = _draw(logits, choices, uniform(choices.seed, context), need)
        tokens = torch.where(choices.temperature > 0, drawn, tokens)
    if need.penalised:
        choices.counts.scatter_add_(1, tokens[:, None], torch.ones_like(tokens[:, None]).int())
    if need.repeated:
        choices.seen.scatter_(1, tokens[:, None], True)
    return tokens


def unpacked(mask: torch.Tensor, tokens: int) -> torch.Tensor:
    """The bits of ``mask`` [rows, words] as booleans [rows, ``tokens``], the lowest first."""
    bits = torch.arange(32, dtype=mask.dtype, device=mask.device)
    return ((mask[..., None] >> bits) & 1).flatten(-2)[..., :tokens].bool()


def repetition_penalised(logits: torch.Tensor, choices: Choices) -> torch.Tensor:
    """Logits of tokens that were seen, divided by the penalty where positive and multiplied where
    not: less likely either way. CTRL's, arXiv 1909.05858, as transformers and vLLM have it."""
    penalty = choices.repetition[:, None]
    less = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(choices.seen, less, logits)


def penalised(logits: torch.Tensor, choices: Choices) -> torch.Tensor:
    """``logit - count * frequency_penalty - (count > 0) * presence_penalty``, as the OpenAI
    reference defines it."""
    counts = choices.counts
    frequency, presence = choices.frequency[:, None], choices.presence[:, None]
    return logits - counts * frequency - (counts > 0) * presence


def _draw(
    logits: torch.Tensor, choices: Choices, uniform: torch.Tensor, need: Need
) -> torch.Tensor:
    """Sample by inverting the cumulative distribution: one number a row."""
    temperature = choices.temperature.where(choices.temperature > 0, 1.0)
    chances = (logits / temperature[:, None]).softmax(-1)
    if need.cut:
        chances = kept_by_min_p(kept_by_top_k(chances, choices.top_k), choices.min_p)
        chances = chances / chances.sum(-1, keepdim=True)
    if need.nucleus:
        chances = kept_by_top_p(chances, choices.top_p)
    reached = chances.cumsum(-1)
    # In (0, total], never 0: the first token to reach it has a chance of its own.
    found = torch.searchsorted(reached, (1 - uniform[:, None]) * reached[:, -1:])[:, 0]
    # Past the end only where a logit is no number, which must not become an index out of bounds.
    return found.clamp(max=chances.shape[1] - 1)


def kept_by_min_p(chances: torch.Tensor, min_p: torch.Tensor) -> torch.Tensor:
    """Zero what is less than ``min_p`` times as likely as each row's likeliest token
    (arXiv 2407.01082)."""
    least = min_p[:, None] * chances.amax(-1, keepdim=True)
    return chances.where(chances >= least, 0.0)


def kept_by_top_k(chances: torch.Tensor, top_k: torch.Tensor) -> torch.Tensor:
    """Zero all but each row's ``top_k`` likeliest tokens, 0 meaning all. Of equals at the end all
    stay, as in transformers."""
    bits = chances.view(torch.int32)
    low = torch.zeros_like(bits[:, :1])  # so many are at least as likely as this
    high = bits.amax(-1, keepdim=True) + 1  # and not as this
    for _ in range(30):  # as in `kept_by_top_p`
        middle = low + (high - low) // 2
        enough = (bits >= middle).sum(-1, keepdim=True) >= top_k[:, None]
        low, high = middle.where(enough, low), high.where(enough, middle)
    return chances.where((bits >= low) | (top_k[:, None] <= 0), 0.0)


def kept_by_top_p(chances: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Zero all but each row's likeliest tokens, the fewest that reach ``top_p`` together.

    A sort of the vocabulary is not needed for that. The least chance that stays
    is found by halving, one bit of it at a time: the bits of positive floats are in their order.
    """
    bits = chances.view(torch.int32)
    low = torch.zeros_like(bits[:, :1])  # with this as the least the rest reaches top_p
    high = bits.amax(-1, keepdim=True) + 1  # with this it does not
    for _ in range(30):  # 1.0 is below 2**30
        middle = low + (high - low) // 2
        mass = chances.where(bits >= middle, 0.0).sum(-1, keepdim=True)
        enough = mass >= top_p[:, None]
        low, high = middle.where(enough, low), high.where(enough, middle)
    # 1 means all, whatever rounding makes of their sum.
    return chances.where((bits >= low) | (top_p[:, None] >= 1), 0.0)


def uniform(seed: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """A number in [0, 1) for each (seed, count), float32: the ``count``-th of splitmix64, a
    generator that can be read at any place (Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = seed + (count + 1) * _signed(0x9E3779B97F4A7C15)
    mixed = (mixed ^ _shifted(mixed, 30)) * _signed(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ _shifted(mixed, 27)) * _signed(0x94D049BB133111EB)
    mixed = mixed ^ _shifted(mixed, 31)
    return _shifted(mixed, 40).float() / 2**24


def _signed(number: int) -> int:
    """The int64 of the same bits; products of both agree in their lowest 64."""
    return number - 2**64 if number >= 2**63 else number


def _shifted(bits: torch.Tensor, by: int) -> torch.Tensor:
    """``bits`` as unsigned, shifted right; torch's own shift keeps the sign."""
    shifted: torch.Tensor = (bits >> by) & (2 ** (64 - by) - 1)
    return shifted
