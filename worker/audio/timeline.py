"""Where a file's sound stands in the file's own time. No FFmpeg in here."""

from __future__ import annotations

# Timestamps are rounded, some to milliseconds, and encoders add some hundredths at the start.
MIN_GAP_S = 0.1
# What lies further ahead is taken for a wrong timestamp: no silence stands in for it.
MAX_GAP_S = 300.0
# So far back is another count: a chained file begins at 0 again.
MAX_OVERLAP_S = 1.0


class Timeline:
    """Tells what is missing before each frame, so that silence in its place keeps the clock.

    Players count from the start of the file, which need not be that of its sound. Sound that
    overlaps is kept whole, and the clock is right again at the next gap.
    """

    def __init__(self, start_s: float | None) -> None:
        """``start_s`` is the file's start by its own timestamps; None: that of its first frame."""
        self._shift_s = start_s
        self._shift_before_s = start_s
        self._now_s = 0.0

    def place(self, at_s: float | None, length_s: float) -> float:
        """The seconds of silence to put before a frame of ``length_s`` whose timestamp is ``at_s``;
        one without a timestamp follows the last."""
        gap_s = 0.0 if at_s is None else self._gap_s(at_s)
        self._now_s += gap_s + length_s
        return gap_s

    def _gap_s(self, at_s: float) -> float:
        if self._shift_s is None or self._shift_before_s is None:
            self._shift_s = self._shift_before_s = at_s
        ahead_s = at_s - self._shift_s - self._now_s
        if -MAX_OVERLAP_S <= ahead_s <= MIN_GAP_S:
            return 0.0
        # Back where the count was before a single wrong timestamp.
        returned = abs(at_s - self._shift_before_s - self._now_s) <= MIN_GAP_S
        if MIN_GAP_S < ahead_s <= MAX_GAP_S and not returned:
            return ahead_s
        self._shift_before_s, self._shift_s = self._shift_s, self._shift_s + ahead_s
        return 0.0
