"""What figures are called, and all of them as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.load.outcome import Level, Run

RATES = {
    "completion_tokens": "tokens/s",
    "prompt_tokens": "prompt tokens/s",
    "texts": "texts/s",
    "tokens": "tokens/s",
    "documents": "documents/s",
    "audio_seconds": "audio s/s",
}
NAMES = {"latency": "latency", "ttft": "time to first token", "itl": "time between tokens"}


def report(command: str, url: str, at: str, options: dict[str, Any], runs: list[Run]) -> Any:
    """Everything that was measured, and how. Times are in milliseconds."""
    return {
        "command": command,
        "url": url,
        "at": at,
        "loop": "closed",
        "options": options,
        "runs": [
            {"model": run.model, "levels": [_level(level) for level in run.levels]} for run in runs
        ],
    }


def _level(level: Level) -> dict[str, Any]:
    names = sorted({name for one in level.answered for name in one.amounts})
    return {
        "concurrency": level.clients,
        "seconds": level.seconds,
        "requests": len(level.outcomes),
        "answered": len(level.answered),
        "errors": dict(level.errors),
        "requests_per_s": level.requests_per_s,
        **{f"{name}_per_s": level.rate(name) for name in names},
        **{f"{name}_ms": times._asdict() for name, times in level.times().items()},
        "own_cpu_percent": level.cpu_percent,
    }


def amounts(levels: list[Level]) -> Mapping[str, str]:
    """What the levels did, with the heads of their rates."""
    known = {name for level in levels for one in level.answered for name in one.amounts}
    return {name: head for name, head in RATES.items() if name in known}


def in_words(options: dict[str, Any]) -> str:
    """``options`` in a line, without those that are None."""
    return ", ".join(_option(name, value) for name, value in options.items() if value is not None)


def _option(name: str, value: Any) -> str:
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return words if value else f"no {words}"
    return f"{words} {value}"
