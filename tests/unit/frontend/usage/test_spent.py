"""What a request has taken, by what is known of it at its end."""

from __future__ import annotations

from frontend.dispatch.budget import Budget
from frontend.dispatch.stream import Stream
from frontend.http.request_context import RequestContext
from frontend.usage.spent import spent_by


def test_a_live_session_has_taken_the_sound_of_its_turns() -> None:
    context = RequestContext()
    context.stream = Stream("job", 0.0, lambda _: None, Budget(0).open())
    context.stream.dispatched_at = 1.0
    context.heard_s = 2.5
    assert spent_by(context, 5.0).audio_s == 2.5
