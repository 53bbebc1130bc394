"""Who is suspected of crashing workers, and who is refused, as histories."""

from __future__ import annotations

from frontend.dispatch.crashes.quarantine import HOLD_S, LIMIT, Quarantine, fingerprint
from ipc.messages.blob import Blob
from ipc.messages.jobs import EmbedInput, Input, Job, SpeechInput


def job(asked: Input, model: str = "m", name: str = "a") -> Job:
    return Job(id=name, model=model, input=asked, deadline_at=len(name))


def held(table: Quarantine, found: bytes, now: float) -> bool:
    table.forget(now)
    return table.held(found, now) is not None


def test_the_second_crash_within_ten_minutes_holds_it_for_ten_minutes() -> None:
    table = Quarantine()
    assert not table.suspects(b"x")
    table.suspect(b"x", 0.0, alone=True)
    assert table.suspects(b"x")
    assert not held(table, b"x", 1.0)
    table.suspect(b"x", 500.0, alone=True)
    assert held(table, b"x", 500.0)
    assert held(table, b"x", 500.0 + HOLD_S - 1)
    assert not held(table, b"x", 500.0 + HOLD_S)
    assert len(table) == 0


def test_in_company_a_crash_proves_less_and_it_takes_a_third() -> None:
    table = Quarantine()
    for at in (0.0, 1.0):
        table.suspect(b"x", at, alone=False)
    assert not held(table, b"x", 1.0)
    table.suspect(b"x", 2.0, alone=False)
    assert held(table, b"x", 2.0)


def test_a_crash_alone_proves_it_only_if_there_was_another() -> None:
    table = Quarantine()
    table.suspect(b"x", 0.0, alone=True)
    assert not held(table, b"x", 0.0)
    table.suspect(b"x", 1.0, alone=False)
    assert not held(table, b"x", 1.0)
    table.suspect(b"x", 2.0, alone=True)
    assert held(table, b"x", 2.0)


def test_crashes_that_lie_further_apart_do_not_add_up() -> None:
    table = Quarantine()
    table.suspect(b"x", 0.0, alone=True)
    table.suspect(b"x", HOLD_S, alone=True)
    assert not held(table, b"x", HOLD_S)


def test_one_that_completes_is_cleared() -> None:
    table = Quarantine()
    table.suspect(b"x", 0.0, alone=True)
    table.clear(b"x")
    table.suspect(b"x", 1.0, alone=True)
    assert not held(table, b"x", 1.0)


def test_the_refusal_says_what_happened_and_not_to_repeat_it() -> None:
    table = Quarantine()
    table.suspect(b"x", 0.0, alone=True)
    table.suspect(b"x", 1.0, alone=True)
    refusal = table.held(b"x", 62.0)
    assert refusal is not None
    assert "refused for 9 more minutes" in refusal.message
    assert (refusal.status, refusal.should_retry) == (500, False)


def test_the_table_is_bounded_and_the_oldest_leave() -> None:
    table = Quarantine()
    for number in range(LIMIT + 1):
        table.suspect(number.to_bytes(2, "big"), float(number) / 1000, alone=True)
    assert len(table) == LIMIT
    assert not table.suspects(b"\0\0")


def test_a_fingerprint_is_of_the_model_and_the_input_alone() -> None:
    texts = EmbedInput(texts=["x"])
    assert fingerprint(job(texts)) == fingerprint(job(texts, name="another"))
    assert fingerprint(job(texts)) != fingerprint(job(texts, model="other"))
    assert fingerprint(job(texts)) != fingerprint(job(EmbedInput(texts=["y"])))


def test_audio_is_part_of_the_fingerprint() -> None:
    one, other = (job(SpeechInput(audio=Blob(data))) for data in (b"1", b"2"))
    assert fingerprint(one) != fingerprint(other)
