"""Which engine `auto` takes by what was measured, and what it does not trust."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ipc.facts.pace import Pace
from supervisor.host.timings import Fastest, Subject, Timing, fastest, trusted
from supervisor.models import timed

OPENVINO = Subject(engine="openvino", cpu="EPYC, 2 threads", libraries={"openvino": "2026.4"})
LLAMA = Subject(engine="llama.cpp", cpu="EPYC, 2 threads", libraries={"xllamacpp": "1"})
HERE = {"openvino": OPENVINO, "llama.cpp": LLAMA}


def timing(subject: Subject, alone: float, full: float, prompt: float) -> Timing:
    pace = Pace(alone_per_s=alone, full_per_s=full, prompt_per_s=prompt)
    return Timing(subject=subject, slots=8, pace=pace)


def broken(subject: Subject) -> Timing:
    return Timing(subject=subject, slots=8, fault="cannot be used: no libgomp")


def chosen(found: Fastest | None) -> str:
    return found.engine if found else "by rule"


# Figures of two cores of an EPYC: Qwen2.5-Coder-1.5B and 0.5B, SmolLM2-135M.
@pytest.mark.parametrize(
    ("openvino", "llama", "slots", "expected"),
    [
        pytest.param((20, 89, 163), (29, 44, 90), 8, "openvino", id="far ahead with many"),
        pytest.param((20, 89, 163), (29, 44, 90), 1, "llama.cpp", id="one slot is always alone"),
        pytest.param((22, 132, 227), (29, 44, 90), 1, "openvino", id="prompts count alone, too"),
        pytest.param((49, 246, 571), (46, 75, 162), 8, "openvino", id="ahead in all"),
        pytest.param((18, 48, 136), (29, 60, 160), 8, "llama.cpp", id="behind in all"),
    ],
)
def test_the_engine_that_answers_the_usual_request_soonest_is_taken(
    openvino: tuple[float, float, float],
    llama: tuple[float, float, float],
    slots: int,
    expected: str,
) -> None:
    found = fastest([timing(OPENVINO, *openvino), timing(LLAMA, *llama)], slots)
    assert chosen(found) == expected


def test_the_choice_says_why() -> None:
    both = [timing(OPENVINO, 20.04, 89, 163), timing(LLAMA, 29, 44, 90)]
    assert fastest(both, 8) == (
        "openvino",
        "measured here, tokens/s: openvino 20 alone, 89 with all slots, prompts 163; "
        "llama.cpp 29 alone, 44 with all slots, prompts 90",
    )
    one = fastest(both, 1)
    assert one is not None
    assert one.why.endswith("llama.cpp 29 alone, prompts 90")


def test_an_engine_that_cannot_load_the_model_is_not_taken() -> None:
    found = fastest([timing(OPENVINO, 20, 89, 163), broken(LLAMA)], 8)
    assert found is not None
    assert found.engine == "openvino"
    assert found.why.endswith("; llama.cpp cannot be used: no libgomp")


@pytest.mark.parametrize(
    "timings", [[], [timing(OPENVINO, 1, 1, 1)], [broken(OPENVINO), broken(LLAMA)]]
)
def test_without_a_comparison_the_rule_holds(timings: list[Timing]) -> None:
    assert fastest(timings, 8) is None


MEASURED = (timing(OPENVINO, 20, 89, 163), timing(LLAMA, 29, 44, 90))


@pytest.mark.parametrize(
    "here",
    [
        {**HERE, "openvino": replace(OPENVINO, cpu="Xeon, 2 threads")},
        {**HERE, "openvino": replace(OPENVINO, libraries={"openvino": "2026.5"})},
        {**HERE, "llama.cpp": replace(LLAMA, libraries={})},
        {**HERE, "torch": replace(LLAMA, engine="torch")},
        {"openvino": OPENVINO},
    ],
    ids=["another CPU", "another version", "not installed", "one more engine", "one less"],
)
def test_what_was_measured_of_another_box_or_version_is_not_trusted(
    here: dict[str, Subject],
) -> None:
    assert trusted(MEASURED, HERE) == MEASURED
    assert trusted(MEASURED, here) == ()


def test_measurements_are_kept_beside_the_manifest(tmp_path: Path) -> None:
    assert timed.read(tmp_path) == ()
    timed.write(tmp_path, MEASURED)
    assert timed.read(tmp_path) == MEASURED
    (tmp_path / timed.FILE).write_text("[{]")
    assert timed.read(tmp_path) == ()


def test_a_measurement_is_of_this_cpu_its_threads_and_the_installed_libraries() -> None:
    one, other = (timed.subjects(["openvino", "llama.cpp"], threads) for threads in (2, 4))
    assert set(one) == {"openvino", "llama.cpp"}
    assert one["openvino"].cpu == one["llama.cpp"].cpu != other["openvino"].cpu
    assert one == timed.subjects(["openvino", "llama.cpp"], 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"{}",
        b'[{"subject": {"engine": "\xff"}}]',
        b'[{"x": ' + b"[" * 100_000,
        b'[{"subject": {"engine": "openvino", "cpu": "", "libraries": {}}, "slots": 8, "pace": '
        b'{"alone_per_s": 1, "full_per_s": 1, "prompt_per_s": 0}}]',
        b'[{"subject": {"engine": "openvino", "cpu": "", "libraries": {}}, "slots": 8, "pace": '
        b'{"alone_per_s": 1, "full_per_s": -1, "prompt_per_s": 1}}]',
    ],
    ids=["empty", "null", "an object", "not text", "deep", "zero", "below zero"],
)
def test_a_file_of_something_else_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / timed.FILE).write_bytes(content)
    assert timed.read(tmp_path) == ()
