"""What a file of an incident says, for people. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import localtime, strftime
from typing import Any

import msgspec

from supervisor.cli.incident.file import Event, IncidentFile, KernelLog, Request
from supervisor.cli.table import Column, Row

COLUMNS = (Column("incident"), Column("when", 1), Column("requests", 2, right=True))
_EVENTS, _FRAMES, _KERNEL_LINES = 10, 12, 5
_OF_MEMORY = re.compile(r"out of memory|oom|killed process", re.IGNORECASE)
# Of the libraries that a model runs on and that are worth a line.
_VERSIONS = ("python", "system", "openvino", "torch", "ctranslate2", "xllamacpp", "onnxruntime")


def rows(found: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """A line for each of a list."""
    for one in found:
        yield Row(one["id"], (_when(one["time"]), str(one["requests"])), one["told"])


def lines(told: IncidentFile) -> Iterator[str]:
    """All that is worth reading of one."""
    yield f"{_when(told.time_s)}  {told.told}"
    yield from _versions(told.versions)
    yield from _requests(told.requests)
    yield from _events(told.events)
    for process, frames in told.stacks.items():
        yield ""
        yield f"Where {process} was:"
        yield from frames[:_FRAMES]
        if len(frames) > _FRAMES:
            yield f"  … {len(frames) - _FRAMES} more lines"
    if told.machine.kernel_log is not None:
        yield from _kernel(told.machine.kernel_log)
    for part, why in told.missing.items():
        yield f"not known: {part} ({why})"


def _versions(found: Mapping[str, str]) -> Iterator[str]:
    known = [f"{name} {found[name]}" for name in _VERSIONS if name in found]
    if known:
        yield ", ".join(known)


def _requests(found: Sequence[Request]) -> Iterator[str]:
    """How many of each kind, and how they ended."""
    yield ""
    if not found:
        yield "No request in the minutes before."
        return
    yield f"{len(found)} requests in the minutes before, of {_clients(found)}:"
    kinds: dict[str, Counter[str]] = {}
    for one in found:
        task = one.shape.kind if one.shape else one.task or one.path
        name = f"{one.model or '(no model)'} {task}"
        kinds.setdefault(name, Counter())[_ended(one)] += 1
    for name, ended in sorted(kinds.items()):
        counts = ", ".join(f"{count} {how}" for how, count in ended.most_common())
        yield f"  {name}: {counts}"


def _clients(found: Sequence[Request]) -> str:
    count = len({one.client for one in found})
    return "one client" if count == 1 else f"{count} clients"


def _ended(one: Request) -> str:
    if not one.status:
        return "not ended"
    return one.error or {200: "ok", 499: "left"}.get(one.status, str(one.status))


def _events(found: Sequence[Event]) -> Iterator[str]:
    if found:
        yield ""
        yield "What happened:"
    for one in found[-_EVENTS:]:
        facts = [f"{key}={_fact(value)}" for key, value in one.facts.items()]
        words = " ".join([one.type, *filter(None, [one.model]), *facts])
        yield f"  {one.at_s:+8.1f} s  {words}"


def _fact(value: msgspec.Raw) -> str:
    """A string as it is, all else as JSON has it."""
    text = bytes(value)
    try:
        return msgspec.json.decode(text, type=str)
    except ValueError:
        return text.decode(errors="replace")


def _kernel(log: KernelLog) -> Iterator[str]:
    yield ""
    if not log.readable:
        yield f"The kernel's log cannot be read: {log.why}"
        return
    about = [one for one in log.lines if _OF_MEMORY.search(one.text)]
    yield f"The kernel has said {len(log.lines)} lines, {len(about)} of them about memory."
    for one in about[-_KERNEL_LINES:]:
        yield f"  {one.at_s:+8.1f} s  {one.text}"


def _when(time_s: float) -> str:
    return strftime("%Y-%m-%d %H:%M:%S", localtime(time_s))
