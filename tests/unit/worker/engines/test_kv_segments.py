"""Where segments lie, what they take over, and what is given up for them."""

from __future__ import annotations

import itertools
import random

from worker.engines.torch_chat.kv_segments import (
    MIN_SHARED_TOKENS,
    Allocation,
    Segment,
    SegmentAllocator,
)

SYSTEM = list(range(100))
LEAST = MIN_SHARED_TOKENS


def allocated(segments: SegmentAllocator, prompt: list[int], size: int) -> Allocation:
    found = segments.place(prompt, size)
    assert found is not None
    return found


def filled(segments: SegmentAllocator, prompt: list[int], size: int) -> Segment:
    """A segment of an answer whose prompt has been read."""
    segment = allocated(segments, prompt, size).segment
    segment.tokens = list(prompt)
    return segment


def kept(segments: SegmentAllocator, prompt: list[int], size: int) -> Segment:
    """A segment of an answer that has ended."""
    segment = filled(segments, prompt, size)
    segments.release(segment, prompt)
    return segment


def test_segments_lie_side_by_side_and_gaps_are_filled() -> None:
    segments = SegmentAllocator(100)
    first, second, third = (allocated(segments, [], size).segment for size in (30, 30, 40))
    assert [one.start for one in (first, second, third)] == [0, 30, 60]
    assert segments.place([], 1) is None
    segments.release(second, [])
    assert allocated(segments, [], 20).segment.start == 30


def test_sizes_are_rounded_up_to_the_unit() -> None:
    segments = SegmentAllocator(105, unit=10)
    assert segments.capacity == 100
    assert [allocated(segments, [], 3).segment.start for _ in range(3)] == [0, 10, 20]


def test_a_conversation_that_goes_on_stays_where_it_is() -> None:
    segments = SegmentAllocator(1000)
    before = kept(segments, SYSTEM, 150)
    after = allocated(segments, [*SYSTEM, 7, 8], 300)
    assert (after.source, after.shared) == (before.start, len(SYSTEM))
    assert after.segment.start == before.start


def test_it_moves_where_its_place_has_become_too_small() -> None:
    segments = SegmentAllocator(1000)
    before = kept(segments, SYSTEM, 150)
    filled(segments, [], 100)
    after = allocated(segments, [*SYSTEM, 7, 8], 300)
    assert (after.source, after.shared) == (before.start, len(SYSTEM))
    assert after.segment.start == 250


def test_what_is_in_use_is_shared_by_a_copy() -> None:
    segments = SegmentAllocator(1000)
    running = filled(segments, [*SYSTEM, 1], 150)
    other = allocated(segments, [*SYSTEM, 2], 150)
    assert (other.source, other.shared) == (running.start, len(SYSTEM))
    assert other.segment.start == 150
    assert running.tokens == [*SYSTEM, 1]


def test_a_long_conversation_is_not_given_up_for_a_short_beginning() -> None:
    segments = SegmentAllocator(1000)
    long = kept(segments, [*SYSTEM, *range(500, 700)], 300)
    other = allocated(segments, [*SYSTEM, 2], 150)
    assert (other.shared, other.segment.start) == (len(SYSTEM), 300)
    again = allocated(segments, [*long.tokens, 3], 310)
    assert again.shared == len(long.tokens)


def test_the_last_token_of_a_prompt_is_always_computed() -> None:
    segments = SegmentAllocator(1000)
    kept(segments, SYSTEM, 150)
    assert allocated(segments, SYSTEM, 150).shared == len(SYSTEM) - 1


def test_a_short_beginning_is_not_worth_a_copy() -> None:
    segments = SegmentAllocator(1000)
    kept(segments, SYSTEM, 150)
    assert allocated(segments, [*SYSTEM[: LEAST - 1], 999, 999], 150).shared == 0
    assert allocated(segments, [*SYSTEM[:LEAST], 999, 999], 150).shared == LEAST


def test_the_least_recently_used_is_given_up_first() -> None:
    segments = SegmentAllocator(300)
    prompts = [[at] * 50 for at in range(3)]
    for prompt in prompts:
        kept(segments, prompt, 100)
    kept(segments, [*prompts[0], 9], 100)  # used again
    allocated(segments, [7] * 50, 100)
    found = [allocated(segments, [*prompt, 1], 60).shared for prompt in (prompts[0], prompts[2])]
    assert found == [50, 50]
    assert segments.place([*prompts[1], 1], 60) is None


def test_what_is_kept_is_not_given_up_in_vain() -> None:
    segments = SegmentAllocator(200)
    filled(segments, [], 100)
    before = kept(segments, SYSTEM, 100)
    assert segments.place([], 150) is None
    assert allocated(segments, [*SYSTEM, 1], 100).source == before.start


def test_without_sharing_nothing_is_kept() -> None:
    segments = SegmentAllocator(200, share=False)
    kept(segments, SYSTEM, 150)
    found = allocated(segments, SYSTEM, 150)
    assert (found.segment.start, found.shared) == (0, 0)


def test_no_two_segments_in_use_ever_overlap() -> None:
    draw = random.Random(3)
    segments = SegmentAllocator(2000)
    running: list[Segment] = []
    for _ in range(2000):
        if running and draw.random() < 0.5:
            segment = running.pop(draw.randrange(len(running)))
            segments.release(segment, segment.tokens if draw.random() < 0.8 else [])
            continue
        prompt = [draw.randrange(3)] * draw.randint(1, 200)
        found = segments.place(prompt, len(prompt) + draw.randint(1, 100))
        if found is None:
            continue
        assert found.segment.tokens == prompt[: found.shared]
        found.segment.tokens = prompt
        running.append(found.segment)
        ends = sorted((one.start, one.start + one.size) for one in running)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ends))
        assert ends[-1][1] <= segments.capacity
