"""Held answers, each for the key that it was asked with."""

from __future__ import annotations

import asyncio

import pytest

from frontend.resume.held import HeldAnswer, HeldAnswers
from ipc.messages.errors import NotFound, ServeError


def test_those_of_a_removed_key_are_stopped_and_not_found_any_more() -> None:
    ended: list[tuple[str, str]] = []

    async def scene() -> None:
        held = HeldAnswers()
        answers = [HeldAnswer(key or "", key) for key in ("ann", "bob", None)]
        for answer in answers:

            def abort(error: ServeError, client: str = answer.client) -> None:
                ended.append((client, error.code))

            held.admit(answer, abort)
            await answer.send({"type": "http.response.start", "status": 200})
        held.know({"ann"})
        held.know({"ann", "bob"})
        ann, bob, nobody = answers
        assert held.get(ann.id, "ann") is ann
        assert held.get(nobody.id, None) is nobody
        with pytest.raises(NotFound):
            held.get(bob.id, "bob")

    asyncio.run(scene())
    assert [client for client, _ in ended] == ["bob"]
