"""Pulls of a server: literal histories of what operators wish and children say."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from ipc.messages.errors import Conflict, NotFound, QueueFull
from ipc.messages.spec import Spec
from supervisor.pulls import jobs
from supervisor.pulls.jobs import Action, Begin, End, PullJobs
from supervisor.pulls.lines import (
    Line,
    Looked,
    NotPulled,
    NotRemoved,
    Progressed,
    Pulled,
    Removed,
)
from supervisor.state.pull_book import Job

ONE, TWO, THREE = "hf:acme/one", "hf:acme/two", "hf:acme/three"
LOOKED = Looked(model="acme/one", task="chat", engine="openvino", device="cpu", fetch_bytes=1000)
SPEC = Spec(name="acme/one", task="chat", engine="openvino", path="/models/one")
PULLED = Pulled(model="acme/one", path="/models/one", spec=SPEC, weights="abc")


class History:
    """A machine with its clock, which says what is done as a list of words."""

    def __init__(self, machine: PullJobs | None = None) -> None:
        self.machine = machine or PullJobs()
        self.at = 0.0

    def add(self, source: str) -> Job:
        return self.machine.add(source, self.at)

    def due(self, at: float) -> list[str]:
        self.at = at
        return [words(action) for action in self.machine.due(at, at)]

    def says(self, key: str, *lines: Line) -> None:
        for line in lines:
            self.machine.on_line(key, "", line, self.at)

    def exits(self, key: str, reason: str = "exited with status 0") -> jobs.Ended | None:
        return self.machine.on_exit(key, reason, self.at)

    def state(self, job_id: str) -> str:
        return self.machine.job(job_id).state


def words(action: Action) -> str:
    match action:
        case Begin(key, arguments):
            return f"{key}: {' '.join(arguments)}"
        case End(key, number):
            return f"{number.name} to {key}"


def running(*sources: str) -> History:
    history = History()
    for source in sources or (ONE,):
        history.add(source)
    history.due(0.0)
    return history


# --- a pull ---------------------------------------------------------------------------------------


def test_a_pull_runs_as_the_command_and_finishes() -> None:
    history = History()
    assert history.add(ONE).id == "pull-1"
    assert history.due(0.0) == [f"pull-1: pull --progress json --serve -- {ONE}"]
    history.says("pull-1", LOOKED, PULLED)
    ended = history.exits("pull-1")
    assert ended is not None
    assert ended.pulled == PULLED
    assert history.state("pull-1") == "finished"
    assert history.due(1.0) == []


def test_what_was_found_out_is_told_with_the_job() -> None:
    history = running()
    history.says("pull-1", LOOKED)
    job = history.machine.job("pull-1")
    assert job.model == "acme/one"
    assert job.looked is not None
    assert job.looked.fetch_bytes == 1000


def test_rate_and_end_are_told_of_the_last_seconds() -> None:
    history = running()
    for at, done in ((0.0, 0), (20.0, 100), (30.0, 300)):
        history.at = at
        history.says(
            "pull-1",
            Progressed(model="acme/one", doing="hf:acme/one", done_bytes=done, total_bytes=500),
        )
    told = history.machine.told(history.machine.job("pull-1"), 30.0)
    assert (told["bytes_per_s"], told["eta_s"]) == (20, 10.0)


def test_no_rate_is_told_of_what_does_not_run() -> None:
    history = History()
    told = history.machine.told(history.add(ONE), 0.0)
    assert (told["bytes_per_s"], told["eta_s"]) == (None, None)


def test_so_many_run_at_once_and_the_others_wait_their_turn() -> None:
    history = running(ONE, TWO, THREE)
    assert [history.state(f"pull-{number}") for number in (1, 2, 3)] == [
        "running",
        "running",
        "waiting",
    ]
    history.says("pull-1", PULLED)
    history.exits("pull-1")
    assert history.due(1.0) == [f"pull-3: pull --progress json --serve -- {THREE}"]


def test_the_same_source_is_pulled_once_for_all_who_ask() -> None:
    history = running()
    assert history.add(ONE).id == "pull-1"
    history.says("pull-1", PULLED)
    history.exits("pull-1")
    assert history.add(ONE).id == "pull-2"


def test_name_and_force_are_passed_on_and_nothing_is_taken_for_an_option() -> None:
    machine = PullJobs()
    machine.add("--help", 0.0, name="mine", force=True)
    (begin,) = machine.due(0.0, 0.0)
    assert words(begin) == "pull-1: pull --progress json --name=mine --serve --force -- --help"


# --- failures -------------------------------------------------------------------------------------


def test_one_that_fails_says_why() -> None:
    history = running()
    history.says("pull-1", NotPulled(model="acme/one", error="hf:acme/one does not exist"))
    ended = history.exits("pull-1", "exited with status 1")
    assert ended is not None
    assert ended.error == "hf:acme/one does not exist"
    assert history.machine.job("pull-1").error == "hf:acme/one does not exist"
    assert history.state("pull-1") == "failed"


def test_one_that_crashes_is_told_with_its_last_words() -> None:
    history = running()
    history.machine.on_line("pull-1", "Traceback (most recent call last):", None, 0.0)
    history.machine.on_line("pull-1", "MemoryError", None, 0.0)
    history.exits("pull-1", "killed by SIGSEGV")
    error = history.machine.job("pull-1").error
    assert error == "killed by SIGSEGV: Traceback (most recent call last): MemoryError"


def test_a_failed_one_may_be_gone_on_with() -> None:
    history = running()
    history.exits("pull-1", "killed by SIGKILL")
    history.machine.control("pull-1", "resume", 1.0)
    assert history.machine.job("pull-1").error == ""
    assert history.due(1.0) == [f"pull-1: pull --progress json --serve -- {ONE}"]


# --- pause, resume, cancel ------------------------------------------------------------------------


def test_a_paused_one_ends_and_goes_on_when_it_may() -> None:
    history = running()
    history.machine.control("pull-1", "pause", 1.0)
    assert history.due(1.0) == ["SIGTERM to pull-1"]
    history.exits("pull-1", "killed by SIGTERM")
    assert history.due(2.0) == []
    history.machine.control("pull-1", "resume", 3.0)
    assert history.due(3.0) == [f"pull-1: pull --progress json --serve -- {ONE}"]


def test_one_that_is_resumed_before_it_has_ended_starts_once_it_has() -> None:
    history = running()
    history.machine.control("pull-1", "pause", 1.0)
    history.due(1.0)
    history.machine.control("pull-1", "resume", 1.5)
    assert history.due(1.5) == []
    history.exits("pull-1", "killed by SIGTERM")
    assert history.due(2.0) == [f"pull-1: pull --progress json --serve -- {ONE}"]


def test_one_that_does_not_end_is_killed() -> None:
    history = running()
    history.machine.control("pull-1", "cancel", 1.0)
    assert history.due(1.0) == ["SIGTERM to pull-1"]
    assert history.due(5.75) == []
    assert history.due(6.0) == ["SIGKILL to pull-1"]
    assert history.due(9.0) == []


def test_what_a_cancelled_one_has_fetched_is_removed() -> None:
    history = running()
    history.says("pull-1", LOOKED)
    history.machine.control("pull-1", "cancel", 1.0)
    history.due(1.0)
    history.exits("pull-1", "killed by SIGTERM")
    assert history.due(2.0) == ["pull-1-discard: rm --partial -- acme/one"]
    assert history.exits("pull-1-discard") is None
    assert history.state("pull-1") == "cancelled"


def test_a_paused_one_that_is_cancelled_leaves_nothing_either() -> None:
    history = running()
    history.says("pull-1", LOOKED)
    history.machine.control("pull-1", "pause", 1.0)
    history.due(1.0)
    history.exits("pull-1", "killed by SIGTERM")
    history.machine.control("pull-1", "cancel", 2.0)
    history.machine.control("pull-1", "cancel", 2.0)
    assert history.due(2.0) == ["pull-1-discard: rm --partial -- acme/one"]


def test_one_that_never_ran_is_just_cancelled() -> None:
    history = History()
    history.add(ONE)
    history.machine.control("pull-1", "cancel", 0.0)
    assert history.due(0.0) == []


def test_a_model_that_has_come_in_spite_of_a_cancel_joins_nothing() -> None:
    history = running()
    history.machine.control("pull-1", "cancel", 1.0)
    history.says("pull-1", PULLED)
    ended = history.exits("pull-1")
    assert ended is not None
    assert ended.pulled is None
    assert history.state("pull-1") == "finished"


def test_what_has_ended_cannot_be_paused() -> None:
    history = running()
    history.says("pull-1", PULLED)
    history.exits("pull-1")
    with pytest.raises(Conflict, match="pull-1 is finished; there is nothing to pause"):
        history.machine.control("pull-1", "pause", 1.0)


def test_of_others_nothing_is_known() -> None:
    with pytest.raises(NotFound, match="there is no pull 'pull-9'"):
        PullJobs().control("pull-9", "pause", 0.0)


# --- bounds ---------------------------------------------------------------------------------------


def test_so_many_may_be_open() -> None:
    history = History()
    for number in range(jobs.MOST_OPEN):
        history.add(f"hf:acme/{number}")
    with pytest.raises(QueueFull, match="16 pulls are open already; cancel one"):
        history.add("hf:acme/more")


def test_the_oldest_that_have_ended_are_forgotten() -> None:
    history = History()
    for number in range(jobs.MOST_ENDED + 3):
        job = history.add(f"hf:acme/{number}")
        history.machine.control(job.id, "cancel", 0.0)
    history.add(ONE)
    kept = [job.id for job in history.machine.book.jobs]
    assert (len(kept), kept[0], kept[-1]) == (51, "pull-4", "pull-54")


# --- estimates ------------------------------------------------------------------------------------


def test_an_estimate_fetches_nothing_and_is_no_job() -> None:
    history = History()
    key = history.machine.estimate(ONE)
    assert history.due(0.0) == [f"{key}: pull --dry-run --progress json -- {ONE}"]
    history.says(key, LOOKED)
    ended = history.exits(key)
    assert ended is not None
    assert (ended.key, ended.estimate, ended.job) == (key, LOOKED, None)
    assert history.machine.book.jobs == []


def test_an_estimate_that_takes_too_long_is_ended() -> None:
    history = History()
    key = history.machine.estimate(ONE)
    history.due(0.0)
    assert history.due(89.0) == []
    assert history.due(90.0) == [f"SIGTERM to {key}"]
    ended = history.exits(key, "killed by SIGTERM")
    assert ended is not None
    assert (ended.error, ended.passes) == ("killed by SIGTERM", True)


def test_so_many_estimates_are_made_at_once() -> None:
    history = History()
    for _ in range(jobs.ANSWERS_AT_ONCE):
        history.machine.estimate(ONE)
        history.due(0.0)
    with pytest.raises(QueueFull):
        history.machine.estimate(ONE)


# --- restarts of the server -----------------------------------------------------------------------


def test_what_ran_when_the_server_ended_goes_on_and_what_was_paused_stays() -> None:
    history = running(ONE, TWO)
    history.machine.control("pull-2", "pause", 0.0)
    history.due(0.0)
    ends = [words(action) for action in history.machine.stop()]
    assert ends == ["SIGTERM to pull-1", "SIGTERM to pull-2"]
    history.exits("pull-1", "killed by SIGTERM")
    later = History(PullJobs(history.machine.book))
    assert later.due(0.0) == [f"pull-1: pull --progress json --serve -- {ONE}"]
    assert later.state("pull-2") == "paused"
    assert later.add(THREE).id == "pull-3"


def test_what_ran_when_the_server_was_killed_goes_on_too() -> None:
    later = History(PullJobs(running().machine.book))
    assert later.due(0.0) == [f"pull-1: pull --progress json --serve -- {ONE}"]


ACTS: list[tuple[str, Callable[[History], object]]] = [
    ("pause", lambda history: history.machine.control("pull-1", "pause", 0.0)),
    ("cancel", lambda history: history.machine.control("pull-1", "cancel", 0.0)),
    ("line", lambda history: history.says("pull-1", LOOKED)),
    ("exit", lambda history: history.exits("pull-1", "killed by SIGKILL")),
]


@pytest.mark.parametrize("act", [act for _, act in ACTS], ids=[name for name, _ in ACTS])
def test_whatever_a_restart_would_need_is_to_be_kept(act: Callable[[History], object]) -> None:
    history = running()
    history.machine.changed = False
    act(history)
    assert history.machine.changed


def test_signals_are_those_of_the_system() -> None:
    assert words(End("pull-1", signal.SIGTERM)) == "SIGTERM to pull-1"


# --- removals of models ---------------------------------------------------------------------------


def test_a_removal_is_the_command_and_tells_what_it_has_freed() -> None:
    history = History()
    key = history.machine.remove("acme/one")
    assert history.due(0.0) == [f"{key}: rm --force --progress json -- acme/one"]
    history.says(key, Removed(model="acme/one", bytes=7))
    ended = history.exits(key)
    assert ended is not None
    assert (ended.removed, ended.error) == (Removed(model="acme/one", bytes=7), "")


def test_a_removal_that_may_not_be_says_why_and_one_that_dies_may_be_tried_again() -> None:
    history = History()
    refused, died = history.machine.remove("acme/one"), history.machine.remove("acme/two")
    with pytest.raises(QueueFull):
        history.machine.remove("acme/three")
    history.due(0.0)
    history.says(refused, NotRemoved(model="acme/one", error="another process is pulling it"))
    one, two = history.exits(refused, "exited with status 1"), history.exits(died, "killed")
    assert one is not None
    assert two is not None
    assert (one.error, one.passes) == ("another process is pulling it", False)
    assert (two.error, two.passes) == ("killed", True)


def test_pulls_do_not_wait_for_removals_nor_these_for_estimates() -> None:
    history = History()
    history.machine.estimate(ONE)
    history.machine.estimate(TWO)
    history.machine.remove("acme/one")
    history.machine.remove("acme/two")
    history.add(ONE)
    assert len(history.due(0.0)) == 5
