"""What is told of a recording while it is heard: how far that is, now and then."""

from __future__ import annotations

from ipc.messages.events import Listened

# No recording that takes less is told of, and none more often.
PERIOD_S = 0.5


class ListeningPace:
    """Chooses which figures of one job's recording go out, and says in how long it will be heard.

    ``begun_at`` is when its first piece was taken. All times are seconds of one clock.
    """

    def __init__(self, job_id: str, begun_at: float) -> None:
        self._job_id = job_id
        self._begun_at = self._told_at = begun_at

    def told(self, heard_s: float, audio_s: float | None, now: float) -> list[Listened]:
        """What goes out for this figure, often nothing: all up to ``heard_s`` of the recording's
        ``audio_s`` has been heard."""
        is_whole = audio_s is not None and heard_s >= audio_s
        if now - self._told_at < PERIOD_S or heard_s <= 0 or is_whole:
            return []
        self._told_at = now
        left_s = None if audio_s is None else (audio_s - heard_s) * (now - self._begun_at) / heard_s
        return [Listened(self._job_id, heard_s, audio_s, left_s)]
