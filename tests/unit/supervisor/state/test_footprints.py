"""What is known of the models' memory, from literal measurements."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ipc.messages.spec import Spec
from supervisor.state.footprints import (
    MOST,
    SCHEMA,
    Footprint,
    Subject,
    find,
    learned,
)
from supervisor.state.weights import weights_digest

CHAT = Subject(model="chat", engine="llama.cpp", device="cpu", weights="w1")
EMBED = Subject(model="embed", engine="openvino", device="cpu", weights="w2")


def measured(
    subject: Subject, private: int, peak: int | None = None, measured_at: int = 1
) -> Footprint:
    return Footprint(
        subject=subject, private_bytes=private, peak_bytes=peak, measured_at=measured_at
    )


def test_the_first_measurement_of_a_run_replaces_what_earlier_runs_had() -> None:
    known = (measured(CHAT, 900, 1000), measured(EMBED, 50))
    found = learned(known, measured(CHAT, 700, 800), first=True)
    assert find(found, CHAT) == measured(CHAT, 700, 800)
    assert find(found, EMBED) == measured(EMBED, 50)


@pytest.mark.parametrize(
    ("before", "new", "kept"),
    [
        ((700, 800), (900, 850), (900, 850)),
        ((700, 800), (600, 900), (700, 900)),
        ((700, None), (600, 900), (700, 900)),
        ((700, None), (600, None), (700, None)),
    ],
)
def test_of_the_others_the_largest_counts(
    before: tuple[int, int | None], new: tuple[int, int | None], kept: tuple[int, int | None]
) -> None:
    found = learned((measured(CHAT, *before),), measured(CHAT, *new, measured_at=9), first=False)
    assert found == (measured(CHAT, *kept, measured_at=9),)


@pytest.mark.parametrize(
    "change", [{"model": "x"}, {"engine": "torch"}, {"device": "cuda"}, {"weights": "w3"}]
)
def test_another_model_engine_device_or_file_is_another_measurement(
    change: dict[str, str],
) -> None:
    known = (measured(CHAT, 700),)
    assert find(known, msgspec.structs.replace(CHAT, **change)) is None


def test_the_oldest_make_room() -> None:
    known: tuple[Footprint, ...] = ()
    for number in range(MOST + 10):
        subject = msgspec.structs.replace(CHAT, model=str(number))
        known = learned(known, measured(subject, 1, measured_at=number), first=True)
    assert len(known) == MOST
    assert known[0].subject.model == "10"
    assert known[-1].subject.model == str(MOST + 9)


def test_the_kind_of_a_device_counts_and_not_its_number() -> None:
    spec = Spec(name="chat", task="chat", engine="torch", path="", device="cuda:1")
    assert Subject.of(spec, "w") == Subject(
        model="chat", engine="torch", device="cuda", weights="w"
    )


def test_files_are_told_apart_by_name_and_digest_in_any_order() -> None:
    one = weights_digest({"a": "1", "b": "2"})
    assert one == weights_digest({"b": "2", "a": "1"})
    assert len({one, weights_digest({"a": "2", "b": "1"}), weights_digest({"a": "1"})}) == 3
    assert weights_digest({}) == ""


def test_the_file_of_version_1_is_read() -> None:
    written = b"""
    {"version": 1, "content": [{
      "subject": {"model": "chat", "engine": "llama.cpp", "device": "cpu", "weights": "w1"},
      "private_bytes": 700, "peak_bytes": null, "measured_at": 5
    }]}
    """
    known, version = SCHEMA.decode(written, Path("footprints.json"))
    assert (known, version) == ((measured(CHAT, 700, measured_at=5),), 1)
