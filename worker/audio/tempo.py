"""The same sound in less or more time, at its own pitch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.audio.frame import AudioFrame
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as Ended
from av.filter import Graph

from worker.audio.decode import Samples

# Beyond twice the pace FFmpeg's filter leaves pieces out rather than to blend them.
_MOST_AT_ONCE = 2.0


def at_pace(samples: Samples, rate_hz: int, pace: float) -> Samples:
    """``samples`` in ``1 / pace`` of their time; ``pace`` is from 0.25 to 4."""
    if pace == 1 or not samples.size:
        return samples
    graph = _graph(rate_hz, pace)
    frame = AudioFrame.from_ndarray(samples[None].astype(np.float32), format="flt", layout="mono")
    frame.rate = rate_hz
    frame.pts = 0
    graph.push(frame)
    graph.push(None)
    pieces = [np.empty(0, np.float32)]
    while True:
        try:
            pieces.append(graph.pull().to_ndarray().astype(np.float32).reshape(-1))
        except (NothingYet, Ended):
            return np.concatenate(pieces)


def _graph(rate_hz: int, pace: float) -> Graph:
    graph = Graph()
    last = graph.add_abuffer(
        format="flt", sample_rate=rate_hz, layout="mono", time_base=Fraction(1, rate_hz)
    )
    for step in _steps(pace):
        made = graph.add("atempo", f"{step:.6f}")
        last.link_to(made)
        last = made
    sink = graph.add("abuffersink")
    last.link_to(sink)
    graph.configure()
    return graph


def _steps(pace: float) -> list[float]:
    """Factors that come to ``pace``, each one that the filter does well."""
    steps = []
    while pace > _MOST_AT_ONCE or pace < 1 / _MOST_AT_ONCE:
        step = _MOST_AT_ONCE if pace > 1 else 1 / _MOST_AT_ONCE
        steps.append(step)
        pace /= step
    return [*steps, pace]
