"""What an estimator says, after literal histories of jobs and of what they took."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from frontend.dispatch.estimates.estimator import EACH, UNKNOWN_S, Estimator
from frontend.dispatch.estimates.schedule import Capacity
from frontend.dispatch.estimates.work import Work
from ipc.messages.blob import Blob
from ipc.messages.events import ChatResult, Done, EmbedResult, Finish, Marks, Usage

ONE = Capacity(slots=1, credit=1)
TWO = Capacity(slots=2, credit=2)
VECTORS = EmbedResult(vectors=Blob(b""), count=0, dimensions=0, usage=Usage())


def wrote(job: str, tokens: int, finish: Finish = "stop") -> Done:
    return Done(job, ChatResult(finish=finish, usage=Usage(completion_tokens=tokens)))


class Story:
    """An estimator that jobs go through, and the time."""

    def __init__(self, slots: int = 1) -> None:
        self.of = Estimator(slots)
        self.now = 100.0

    def begin(self, job: str, work: Work, client: str = "ann") -> None:
        self.of.admit(job, work, client)
        self.of.hand_over(job, "w.1", self.now)

    def end(self, done: Done) -> None:
        self.of.done(done.job, done, self.now)
        self.of.leave(done.job, self.now)

    def embedded(self, read: float, seconds: float) -> None:
        """A text of so many characters took so long, alone."""
        self.begin("x", Work(read))
        self.now += seconds
        self.end(Done("x", VECTORS))

    def chatted(
        self, tokens: int, limit: int, *, read_s: float = 0.5, token_s: float = 0.1
    ) -> None:
        """A chat of so many tokens, which was read and then written at this pace, alone."""
        self.begin("x", Work(50, limit))
        self.now += read_s
        self.of.wrote("x", 1, self.now)
        self.now += token_s * tokens
        self.end(wrote("x", tokens, "length" if tokens == limit else "stop"))

    def waits(self, job: str, work: Work, client: str = "ann") -> None:
        self.of.admit(job, work, client)

    def start_s(
        self, *first: str, capacity: Capacity = ONE, ahead: int | None = None, load_s: float = 0.0
    ) -> float | None:
        count = len(first) if ahead is None else ahead
        turn = self.of.turn(count, first, capacity, load_s, self.now)
        return None if turn is None else round(turn.handed_over_s, 3)


def test_nothing_is_said_before_anything_was_measured_but_that_there_is_a_place() -> None:
    story = Story()
    assert story.start_s() == 0.0
    assert story.start_s(load_s=7.0) == 7.0
    story.begin("a", Work(10))
    assert story.start_s() is None
    assert story.of.pace_s(ONE, story.now) == UNKNOWN_S


def test_who_waits_is_told_what_is_left_of_the_job_before() -> None:
    story = Story()
    story.embedded(100, 2.0)
    story.begin("a", Work(100))
    assert story.start_s() == 2.0
    story.now += 1.5
    assert story.start_s() == 0.5
    story.now += 0.5  # it should be done
    assert story.start_s() == 0.2
    story.now += 10.0  # it takes longer than it should, and may go on to do so
    assert story.start_s() == 5.0


def test_those_before_count_by_their_size() -> None:
    story = Story()
    story.embedded(100, 2.0)
    story.begin("a", Work(100))
    story.waits("b", Work(300))
    story.waits("c", Work(10))
    assert [story.start_s(), story.start_s("b"), story.start_s("b", "c")] == [2.0, 8.0, 8.2]


def test_two_slots_serve_two_at_once() -> None:
    story = Story(slots=2)
    story.embedded(100, 2.0)
    for job in ("a", "b"):
        story.begin(job, Work(100))
    for job in ("c", "d"):
        story.waits(job, Work(100))
    beside = 2.0 * 2**0.5  # nobody has seen two at once
    assert story.start_s(capacity=TWO) == round(beside, 3)
    assert story.start_s("c", "d", capacity=TWO) == round(2 * beside, 3)


def test_a_long_queue_is_told_by_the_mean_of_those_in_it() -> None:
    story = Story()
    story.embedded(100, 2.0)
    story.begin("a", Work(100))
    for number in range(EACH + 1):
        story.waits(f"w{number}", Work(100 if number % 2 else 300))
    found = story.start_s(ahead=EACH + 1)
    assert found == pytest.approx(2.0 + 4.0 * (EACH + 1), rel=0.05)
    assert story.of.pace_s(ONE, story.now) == pytest.approx(4.0, rel=0.05)


def test_behind_a_long_queue_those_who_come_and_go_make_the_difference() -> None:
    story = Story()
    story.embedded(100, 2.0)
    story.begin("a", Work(100))
    for number in range(100):
        story.waits(f"w{number}", Work(100))
    assert story.start_s(ahead=100) == 202.0
    story.now += 0.02
    assert [story.start_s(ahead=ahead) for ahead in (101, 90)] == [203.98, 181.98]
    story.now += 1.0  # now it is worked out again
    assert story.start_s(ahead=100) == 200.98


def test_a_job_that_its_worker_holds_begins_when_there_is_a_slot() -> None:
    story = Story()
    story.embedded(100, 2.0)
    story.begin("a", Work(100))
    story.begin("b", Work(100))  # held for the next free slot
    story.now += 1.0
    assert story.start_s(capacity=Capacity(slots=1, credit=2)) == 1.0
    assert story.of.left_s("b", 1, story.now) == 3.0
    story.now += 1.0
    story.end(Done("a", VECTORS))
    story.now += 0.5
    assert story.of.left_s("b", 1, story.now) == pytest.approx(1.5)


def test_what_work_takes_counts_from_its_slot_however_late_its_worker_begins() -> None:
    story = Story()
    story.begin("x", Work(100))
    story.now += 5.0
    story.end(Done("x", VECTORS, marks=Marks(began_s=3.0, ended_s=4.0)))
    story.begin("a", Work(100))
    assert story.start_s() == 5.0


def test_of_many_that_come_at_once_the_first_are_told_what_the_first_took_before() -> None:
    story = Story(slots=4)
    for _ in range(2):
        told = []
        for name in "abcd":
            story.begin(name, Work(100))
            told.append(story.of.left_s(name, 4, story.now))
        for name in "abcd":
            story.now += 1.0
            story.end(Done(name, VECTORS))
    # Three and four at work count as one number.
    assert told == [pytest.approx(each, abs=0.1) for each in (1.0, 2.0, 3.5, 3.5)]


def test_a_job_whose_client_has_left_is_given_up_at_once() -> None:
    story = Story()
    story.embedded(100, 2.0)
    story.begin("a", Work(100))
    story.of.drop("a")
    assert story.start_s() == 0.0
    story.end(Done("a", VECTORS))  # what it took says nothing of others
    story.begin("b", Work(100))
    assert story.start_s() == 2.0


def test_a_job_that_was_given_back_waits_again() -> None:
    story = Story()
    story.embedded(100, 2.0)
    story.begin("a", Work(100))
    story.of.requeue("a", story.now)
    assert story.start_s("a") == 2.0
    assert story.of.length_s("a", 1) == 2.0


def test_all_wait_for_a_load() -> None:
    story = Story()
    story.embedded(100, 2.0)
    story.waits("a", Work(100))
    assert story.start_s("a", load_s=7.0) == 9.0


def test_a_chat_takes_its_reading_and_what_it_is_expected_to_write() -> None:
    story = Story()
    for _ in range(5):
        story.chatted(tokens=20, limit=100)
    story.waits("a", Work(50, 100))
    assert story.of.length_s("a", 1) == pytest.approx(2.5, rel=0.1)
    story.of.leave("a", story.now)
    story.begin("b", Work(50, 100))
    assert story.start_s() == pytest.approx(2.5, rel=0.1)


def test_a_chat_that_writes_is_told_by_its_own_pace() -> None:
    story = Story()
    for _ in range(5):
        story.chatted(tokens=20, limit=100)
    story.begin("a", Work(50, 100))
    story.now += 0.5
    story.of.wrote("a", 0, story.now)
    for _ in range(10):  # half as fast as those before it
        story.now += 0.2
        story.of.wrote("a", 1, story.now)
    assert story.start_s() == 2.0


def test_of_a_chat_no_end_is_told_unless_its_clients_are_much_alike() -> None:
    story = Story()
    for tokens in (5, 10, 40, 60, 90):
        story.chatted(tokens, limit=100)
    story.waits("a", Work(50, 100))
    assert story.of.length_s("a", 1) is None
    story.waits("exact", Work(50, 100, exact=True))
    assert story.of.length_s("exact", 1) == pytest.approx(10.5, rel=0.1)


@pytest.mark.parametrize("job", ["nobody", "a"])
def test_what_is_not_in_hand_has_nothing_left(job: str) -> None:
    story = Story()
    story.waits("a", Work(10))
    assert story.of.left_s(job, 1, story.now) is None


def told(story: Story, jobs: Sequence[str]) -> list[float | None]:
    return [story.start_s(*jobs[:ahead], capacity=TWO) for ahead in range(len(jobs))]


def test_what_is_told_at_admission_is_what_happens_where_jobs_take_what_they_took() -> None:
    """Ten chats at once, of which each takes what its size says: as told, so done."""
    story = Story(slots=2)
    sizes = [100, 300, 100, 200, 100, 400, 100, 100, 300, 100]
    for _ in range(2):  # two at once are measured first
        for job in ("x", "y"):
            story.begin(job, Work(100))
        story.now += 1.0
        for job in ("x", "y"):
            story.end(Done(job, VECTORS))
    for job in ("0", "1"):
        story.begin(job, Work(sizes[int(job)]))
    jobs = [str(number) for number in range(2, len(sizes))]
    for job in jobs:
        story.waits(job, Work(sizes[int(job)]))
    expected = told(story, jobs)
    assert expected == simulated(sizes)


def simulated(sizes: Sequence[int]) -> list[float]:
    """When each but the first two gets one of two slots, at a second for each 100."""
    free, starts = [0.0, 0.0], []
    for size in sizes:
        slot = free.index(min(free))
        starts.append(free[slot])
        free[slot] += size / 100
    return starts[2:]


def test_before_any_has_ended_the_first_ones_tell_the_pace_by_how_far_they_are() -> None:
    story = Story(slots=2)
    for job in ("a", "b"):
        story.begin(job, Work(50, 200, exact=True))
    story.now += 0.5
    for job in ("a", "b"):
        story.of.wrote(job, 1, story.now)
    story.now += 2.0
    for job in ("a", "b"):
        story.of.wrote(job, 49, story.now)
    # 150 of 200 tokens are to come, at 25 a second: 8.5 s in all, two at once.
    assert story.of.pace_s(TWO, story.now) == pytest.approx(8.5 / 2)


def test_one_that_has_said_nothing_is_told_by_what_it_may_write_and_how_long_it_lasts() -> None:
    story = Story()
    story.begin("a", Work(50, 200, exact=True))
    paces = []
    for _ in range(3):
        paces.append(story.of.pace_s(ONE, story.now))
        story.now += 4.0
    assert paces == [5.0, 5.0, 8.0 + 1.5]  # a second, and 20 ms for each of 200 tokens


def test_a_first_answer_is_not_taken_to_be_as_long_as_it_may_be() -> None:
    story = Story()
    story.begin("a", Work(50, 2048))
    assert story.of.pace_s(ONE, story.now) == 5.0
