"""Sampling on the device, beside what it is by definition."""

from __future__ import annotations

import pytest
import torch

from worker.engines.torch_sampling import (
    ALL,
    GREEDY,
    Choices,
    kept_by_top_p,
    penalised,
    pick,
    uniform,
)

ROWS, VOCABULARY = 6, 300


def choices(**given: torch.Tensor) -> Choices:
    values = {
        "temperature": torch.zeros(ROWS),
        "top_p": torch.ones(ROWS),
        "presence": torch.zeros(ROWS),
        "frequency": torch.zeros(ROWS),
        "seed": torch.arange(ROWS),
        "counts": torch.zeros(ROWS, VOCABULARY, dtype=torch.int32),
    }
    return Choices(**values | given)


@pytest.fixture
def logits() -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(ROWS, VOCABULARY) * 3


def fewest_that_reach(chances: torch.Tensor, top_p: float) -> torch.Tensor:
    """The nucleus of one row by its definition: sorted, the fewest that reach ``top_p``."""
    ranked, order = chances.sort(descending=True)
    reached = torch.cat([torch.zeros(1), ranked.cumsum(0)[:-1]])
    kept = torch.zeros_like(chances)
    inside = order[(reached < top_p) | (torch.arange(len(order)) == 0)]
    kept[inside] = chances[inside]
    return kept


@pytest.mark.parametrize("top_p", [0.0, 1e-6, 0.1, 0.5, 0.9, 0.99])
def test_the_nucleus_is_the_fewest_likeliest_that_reach_top_p(
    logits: torch.Tensor, top_p: float
) -> None:
    chances = logits.softmax(-1)
    kept = kept_by_top_p(chances, torch.full((ROWS,), top_p))
    for found, row in zip(kept, chances, strict=True):
        assert torch.equal(found, fewest_that_reach(row, top_p))


def test_top_p_of_one_keeps_all(logits: torch.Tensor) -> None:
    chances = logits.softmax(-1)
    assert torch.equal(kept_by_top_p(chances, torch.ones(ROWS)), chances)


def test_each_row_has_a_nucleus_of_its_own(logits: torch.Tensor) -> None:
    chances, top_p = logits.softmax(-1), torch.linspace(0.1, 0.9, ROWS)
    together = kept_by_top_p(chances, top_p)
    alone = [kept_by_top_p(chances[at : at + 1], top_p[at : at + 1]) for at in range(ROWS)]
    assert torch.equal(together, torch.cat(alone))


def test_penalties_are_those_of_the_openai_reference(logits: torch.Tensor) -> None:
    counts = torch.randint(0, 4, (ROWS, VOCABULARY), dtype=torch.int32)
    presence, frequency = torch.rand(ROWS), torch.rand(ROWS)
    found = penalised(logits, choices(counts=counts, presence=presence, frequency=frequency))
    for row in range(ROWS):
        for token in range(VOCABULARY):
            count = int(counts[row, token])
            expected = logits[row, token] - count * frequency[row] - (count > 0) * presence[row]
            assert found[row, token] == pytest.approx(float(expected), abs=1e-5)


def test_what_is_picked_is_counted(logits: torch.Tensor) -> None:
    asked = choices(frequency=torch.ones(ROWS))
    tokens = pick(logits, asked, torch.arange(ROWS), ALL)
    assert torch.equal(asked.counts.argmax(-1), tokens)
    assert asked.counts.sum() == ROWS


def test_greedy_rows_are_the_likeliest_beside_rows_that_are_drawn(logits: torch.Tensor) -> None:
    temperature = torch.tensor([0.0, 1.0] * (ROWS // 2))
    tokens = pick(logits, choices(temperature=temperature), torch.arange(ROWS), ALL)
    greedy = pick(logits, choices(), torch.arange(ROWS), GREEDY)
    assert torch.equal(tokens[::2], greedy[::2])
    assert torch.equal(greedy, logits.argmax(-1))


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    torch.manual_seed(1)
    draws = 40_000
    one = torch.randn(20) * 2
    asked = Choices(
        temperature=torch.full((draws,), 0.7),
        top_p=torch.ones(draws),
        presence=torch.zeros(draws),
        frequency=torch.zeros(draws),
        seed=torch.full((draws,), 5),
        counts=torch.zeros(draws, 20, dtype=torch.int32),
    )
    tokens = pick(one.expand(draws, 20), asked, torch.arange(draws), ALL)
    shares = torch.bincount(tokens, minlength=20) / draws
    expected = (one / 0.7).softmax(-1)
    # Five standard deviations of a share of so many draws.
    assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / draws).sqrt() + 1e-4).all()


def test_logits_that_are_no_numbers_do_not_pick_beyond_the_vocabulary() -> None:
    tokens = pick(
        torch.full((ROWS, VOCABULARY), torch.nan),
        choices(temperature=torch.ones(ROWS)),
        torch.arange(ROWS),
        ALL,
    )
    assert (tokens < VOCABULARY).all()


def test_random_numbers_are_those_of_splitmix64() -> None:
    """The published generator, in integers without bounds."""

    def split_mix(seed: int, count: int) -> int:
        mixed = (seed + (count + 1) * 0x9E3779B97F4A7C15) % 2**64
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) % 2**64
        return mixed ^ (mixed >> 31)

    seeds = [0, 1, 1234567, 2**63 - 1]
    assert split_mix(1234567, 0) == 6457827717110365317
    for count in (0, 1, 77, 100_000):
        found = uniform(torch.tensor(seeds), torch.tensor([count] * len(seeds)))
        assert found.tolist() == [(split_mix(seed, count) >> 40) / 2**24 for seed in seeds]
