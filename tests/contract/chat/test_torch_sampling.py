"""Sampling on the device, beside what it is by definition."""

from __future__ import annotations

import pytest
import torch
from transformers import RepetitionPenaltyLogitsProcessor

from worker.engines.torch_chat.sampling import (
    ALL,
    GREEDY,
    USUAL,
    Choices,
    Need,
    kept_by_min_p,
    kept_by_top_k,
    kept_by_top_p,
    penalised,
    pick,
    repetition_penalised,
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
        "top_k": torch.zeros(ROWS, dtype=torch.int64),
        "min_p": torch.zeros(ROWS),
        "repetition": torch.ones(ROWS),
        "least": torch.zeros(ROWS, dtype=torch.int64),
        "seen": torch.zeros(ROWS, VOCABULARY, dtype=torch.bool),
        "ends": torch.zeros(ROWS, VOCABULARY, dtype=torch.bool),
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


@pytest.mark.parametrize("top_k", [1, 2, 7, 299, 300, 10**6])
def test_top_k_keeps_the_likeliest(logits: torch.Tensor, top_k: int) -> None:
    chances = logits.softmax(-1)
    kept = kept_by_top_k(chances, torch.full((ROWS,), top_k))
    for found, row in zip(kept, chances, strict=True):
        order = row.sort(descending=True).indices[:top_k]
        expected = torch.zeros(VOCABULARY)
        expected[order] = row[order]
        assert torch.equal(found, expected)


def test_a_top_k_of_zero_keeps_all_beside_rows_that_have_one(logits: torch.Tensor) -> None:
    chances = logits.softmax(-1)
    kept = kept_by_top_k(chances, torch.tensor([0, 3] * (ROWS // 2)))
    assert torch.equal(kept[::2], chances[::2])
    assert ((kept[1::2] > 0).sum(-1) == 3).all()


def test_of_equals_at_the_end_of_top_k_all_stay() -> None:
    chances = torch.tensor([[0.4, 0.2, 0.2, 0.2]])
    assert torch.equal(kept_by_top_k(chances, torch.tensor([2])), chances)


@pytest.mark.parametrize("min_p", [0.0, 0.01, 0.3, 0.999, 1.0])
def test_min_p_keeps_what_is_so_many_times_as_likely_as_the_likeliest(
    logits: torch.Tensor, min_p: float
) -> None:
    chances = logits.softmax(-1)
    kept = kept_by_min_p(chances, torch.full((ROWS,), min_p))
    for row in range(ROWS):
        least = min_p * float(chances[row].max())
        for token in range(VOCABULARY):
            chance = float(chances[row, token])
            if abs(chance - least) > 1e-9:  # rounding decides the rest
                assert (float(kept[row, token]) > 0) == (chance > least)


def plainly_drawn(logits: torch.Tensor, top_k: int, min_p: float, top_p: float) -> torch.Tensor:
    """The chances of one row after all samplers, by their definitions."""
    chances = (logits.double() / 0.8).softmax(-1)
    if top_k:
        chances[chances < chances.sort(descending=True).values[top_k - 1]] = 0
    chances[chances < min_p * chances.max()] = 0
    chances = fewest_that_reach(chances / chances.sum(), top_p)
    return chances / chances.sum()


@pytest.mark.parametrize(
    ("top_k", "min_p", "top_p"), [(5, 0.0, 1.0), (0, 0.2, 1.0), (9, 0.05, 0.8), (3, 0.0, 0.5)]
)
def test_samplers_together_draw_as_the_plain_ones_do(
    top_k: int, min_p: float, top_p: float
) -> None:
    torch.manual_seed(2)
    draws = 40_000
    one = torch.randn(20) * 2
    asked = choices(
        temperature=torch.full((draws,), 0.8),
        top_p=torch.full((draws,), top_p),
        top_k=torch.full((draws,), top_k),
        min_p=torch.full((draws,), min_p),
        seed=torch.full((draws,), 5),
    )
    need = Need(drawn=True, nucleus=True, penalised=False, cut=True)
    tokens = pick(one.expand(draws, 20), asked, torch.arange(draws), need)
    shares = torch.bincount(tokens, minlength=20) / draws
    expected = plainly_drawn(one, top_k, min_p, top_p).float()
    assert ((shares > 0) <= (expected > 0)).all()
    assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / draws).sqrt() + 1e-4).all()


def test_a_repetition_penalty_is_that_of_the_ctrl_paper(logits: torch.Tensor) -> None:
    """Beside transformers' own, row by row, over the tokens of prompt and answer."""
    torch.manual_seed(4)
    seen = torch.rand(ROWS, VOCABULARY) < 0.3
    penalty = torch.linspace(0.5, 2, ROWS)
    found = repetition_penalised(logits, choices(seen=seen, repetition=penalty))
    for row in range(ROWS):
        theirs = RepetitionPenaltyLogitsProcessor(float(penalty[row]))
        tokens = seen[row].nonzero().T
        assert torch.allclose(found[row], theirs(tokens, logits[row : row + 1])[0])


def test_what_is_picked_is_seen(logits: torch.Tensor) -> None:
    asked = choices(repetition=torch.full((ROWS,), 1e6))
    first = pick(logits, asked, torch.arange(ROWS), ALL)
    assert torch.equal(asked.seen.nonzero()[:, 1], first)
    assert (pick(logits, asked, torch.arange(ROWS), ALL) != first).all()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_no_end_is_picked_before_so_many_tokens(logits: torch.Tensor, temperature: float) -> None:
    likeliest = logits.argmax(-1)
    ends = torch.zeros(ROWS, VOCABULARY, dtype=torch.bool).scatter(1, likeliest[:, None], True)
    asked = choices(
        ends=ends, least=torch.full((ROWS,), 9), temperature=torch.full((ROWS,), temperature)
    )
    for draw in range(9):
        held = pick(logits * 9, asked, torch.full((ROWS,), draw), ALL)
        assert not ends.gather(1, held[:, None]).any()
    assert torch.equal(pick(logits * 9, choices(ends=ends), torch.arange(ROWS), ALL), likeliest)


def test_a_kind_of_step_is_taken_for_what_it_covers() -> None:
    assert GREEDY.covers(GREEDY)
    assert not GREEDY.covers(USUAL)
    assert USUAL.covers(Need(drawn=True, nucleus=False, penalised=False))
    assert not USUAL.covers(Need(drawn=True, nucleus=False, penalised=False, cut=True))
    assert ALL.covers(USUAL)


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
    asked = choices(
        temperature=torch.full((draws,), 0.7),
        top_p=torch.ones(draws),
        presence=torch.zeros(draws),
        frequency=torch.zeros(draws),
        seed=torch.full((draws,), 5),
        counts=torch.zeros(draws, 20, dtype=torch.int32),
        top_k=torch.zeros(draws, dtype=torch.int64),
        min_p=torch.zeros(draws),
        repetition=torch.ones(draws),
        least=torch.zeros(draws, dtype=torch.int64),
        seen=torch.zeros(draws, 20, dtype=torch.bool),
        ends=torch.zeros(draws, 20, dtype=torch.bool),
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
