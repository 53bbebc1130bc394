"""One frame of `edge-serve top`: lines that fit a terminal, whatever it is told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import localtime, strftime
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from supervisor.cli.event_line import event_line
from supervisor.cli.fleet_table import duration
from supervisor.cli.harmless import harmless
from supervisor.cli.table import STYLE_OF, Column

Told = Mapping[str, Any]
_GAP = "  "
# The first column is cut before others are left out, down to so much.
_LEAST_NAME = 16
_BAR = 12

_MODELS = (
    Column("MODEL"),
    Column("STATE"),
    Column("MB", right=True),
    Column("QUEUE", right=True),
    Column("BUSY", rank=1, right=True),
    Column("ETA", rank=2, right=True),
    Column("TOK/S", rank=1, right=True),
    Column("CPU %", rank=3, right=True),
    Column("DEVICE", rank=4),
)
_REQUESTS = (
    Column("REQUEST"),
    Column("MODEL", rank=1),
    Column("STAGE"),
    Column("AGE", right=True),
    Column("STARTS IN", rank=3, right=True),
    Column("ENDS IN", rank=2, right=True),
    Column("WHO", rank=4),
)


@dataclass(frozen=True, slots=True)
class Size:
    """Of a terminal, in cells. ``height`` None: as many lines as there are."""

    width: int
    height: int | None = None


def frame(told: Told, size: Size, trouble: str = "") -> list[Text]:
    """The lines. ``trouble`` is why nothing is known that is later than ``told``."""
    parts = [_head(told, trouble), [], _table(_MODELS, _models(told), size.width)]
    requests, events = told.get("requests"), told.get("events")
    if requests:
        parts += [[], _table(_REQUESTS, _requests(requests), size.width)]
    if events:
        last = [Text(harmless(event_line(event, "%H:%M:%S"))) for event in events]
        parts += [[], [Text("EVENTS", "bold"), *last]]
    if requests is None and told.get("models"):
        words = "Requests and events are for operators: see EDGE_SERVE_API_KEY."
        parts += [[], [Text(words, "dim")]]
    lines = [line for part in parts for line in (part or [Text()])]
    for line in lines:
        line.truncate(size.width, overflow="ellipsis")
    return lines[: size.height]


# --- the machine ----------------------------------------------------------------------------------


def _head(told: Told, trouble: str) -> list[Text]:
    up_s = (told.get("supervisor") or {}).get("uptime_s")
    up = "" if up_s is None else f", up {duration(up_s)}"
    at = strftime("%H:%M:%S", localtime(told["time"])) if "time" in told else ""
    status = harmless(told.get("status", ""))
    first = Text(f"edge-serve {harmless(told.get('url', ''))}  ")
    first.append(status, STYLE_OF.get(status, ""))
    first.append(f"{up}  {at}")
    lines = [first]
    if trouble:
        lines.append(Text(f"no answer since then: {harmless(trouble)}", "red"))
    if box := told.get("box"):
        lines += [_box(box, told.get("rates") or {}), *map(_gpu, box.get("gpus") or [])]
        lines.append(_memory(told, box))
    return lines


def _box(box: Told, rates: Mapping[str, float]) -> Text:
    cpu, tokens = box.get("cpu_percent") or 0, sum(rates.values())
    return Text(
        f"CPU {_bar(cpu / 100)} {cpu:3.0f} % of {box.get('cpus')}"
        f"  load {box.get('load_1m')}  {tokens:.1f} tokens/s"
    )


def _gpu(gpu: Told) -> Text:
    used, total = gpu.get("memory_used_mb") or 0, gpu.get("memory_total_mb") or 0
    share = used / total if total else 0
    return Text(
        f"GPU {_bar(share)} {_size(used)} of {_size(total)}"
        f"  {gpu.get('utilization_percent') or 0} %  {harmless(gpu.get('name', ''))}"
    )


def _memory(told: Told, box: Told) -> Text:
    """What is in use, and who holds it, most first."""
    total = box.get("memory_total_mb") or 0
    used = total - (box.get("memory_available_mb") or 0)
    holders = [(_held(model), harmless(model.get("name"))) for model in told.get("models") or []]
    known = [f"{name} {_size(mb)}" for mb, name in sorted(holders, reverse=True) if mb]
    share = used / total if total else 0
    words = f"MEM {_bar(share)} {_size(used)} of {_size(total)}"
    return Text(_GAP.join([words, *known]))


def _bar(share: float) -> str:
    full = round(min(max(share, 0.0), 1.0) * _BAR)
    return "█" * full + "░" * (_BAR - full)


def _size(mb: float) -> str:
    return f"{mb / 1024:.1f} GB" if mb >= 1024 else f"{mb:.0f} MB"


# --- models and requests --------------------------------------------------------------------------


def _models(told: Told) -> Iterable[list[str]]:
    rates = told.get("rates") or {}
    for model in told.get("models") or []:
        queue, name = model.get("queue") or {}, str(model.get("name", "?"))
        mb, replicas = _held(model), model.get("replicas") or []
        stage = next((one["stage"] for one in replicas if one.get("stage")), "")
        state = str(model.get("state") or "")
        yield [
            name,
            f"{state} {stage}" if stage and state == "starting" else state,
            f"{mb:.0f}" if mb else "",
            f"{queue['depth']}/{queue['limit']}" if "depth" in queue else "",
            f"{queue['in_flight']}/{queue['credit']}" if "in_flight" in queue else "",
            _seconds(queue.get("eta_s")) if queue.get("depth") else "",
            f"{rates[name]:.1f}" if rates.get(name) else "",
            f"{sum(one.get('cpu_percent') or 0 for one in replicas):.0f}" if mb else "",
            str(next((one["device"] for one in replicas if one.get("device")), "")),
        ]


def _held(model: Told) -> float:
    """The memory that its processes have now, in MB."""
    return float(sum(one.get("rss_mb") or 0 for one in model.get("replicas") or []))


def _requests(found: Iterable[Told]) -> Iterable[list[str]]:
    for one in found:
        waiting = one.get("waiting") or {}
        place = f" {waiting['position']}" if waiting.get("position") else ""
        yield [
            str(one.get("id")),
            str(one.get("model") or ""),
            f"{one.get('stage')}{place}",
            _seconds(one.get("age_s")),
            _seconds_of_ms(waiting.get("eta_start_ms")),
            _seconds_of_ms(waiting.get("eta_end_ms")),
            str(one.get("key") or one.get("client") or ""),
        ]


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f} s" if value < 10 else duration(value)


def _seconds_of_ms(value: float | None) -> str:
    return "" if value is None else _seconds(value / 1000)


# --- tables ---------------------------------------------------------------------------------------


def _table(columns: Sequence[Column], rows: Iterable[list[str]], width: int) -> list[Text]:
    """A line for each row. Where not all fit, columns of the highest rank are left out, and what is
    in the first one is cut."""
    cells = [[harmless(cell) for cell in row] for row in rows]
    widths = _widths(columns, cells)
    kept = list(range(len(columns)))
    for rank in range(max(column.rank for column in columns), 0, -1):
        if _needed(widths, kept) <= width:
            break
        kept = [at for at in kept if columns[at].rank != rank]
    rest = sum(widths[at] + len(_GAP) for at in kept[1:])
    widths[0] = min(widths[0], max(width - rest, 1))
    heads = [column.head for column in columns]
    return [
        Text(_line(heads, columns, widths, kept), "bold"),
        *(_coloured(row, columns, widths, kept) for row in cells),
    ]


def _widths(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[int]:
    return [
        max([cell_len(column.head), *(cell_len(row[at]) for row in cells)])
        for at, column in enumerate(columns)
    ]


def _needed(widths: Sequence[int], kept: Sequence[int]) -> int:
    """The width of these columns, the first one cut as far as it may be."""
    first, *rest = (widths[at] for at in kept)
    return min(first, _LEAST_NAME) + sum(width + len(_GAP) for width in rest)


def _line(
    row: Sequence[str], columns: Sequence[Column], widths: Sequence[int], kept: Sequence[int]
) -> str:
    return _GAP.join(_cell(row[at], widths[at], right=columns[at].right) for at in kept).rstrip()


def _cell(text: str, width: int, *, right: bool) -> str:
    missing = width - cell_len(text)
    if missing < 0:
        return set_cell_size(text, width - 1) + "…"
    return " " * missing + text if right else text + " " * missing


def _coloured(
    row: Sequence[str], columns: Sequence[Column], widths: Sequence[int], kept: Sequence[int]
) -> Text:
    text = Text(_line(row, columns, widths, kept))
    for cell in row[1:]:
        if style := STYLE_OF.get(cell.partition(" ")[0]):
            text.highlight_words([f"{_GAP}{cell}"], style)
    return text
