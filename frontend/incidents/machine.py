"""What the machine tells of itself: what runs here, the kernel's log, memory by control group.

Everything here reads files of the kernel's and may be refused; what is, is said.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

KMSG = Path("/dev/kmsg")
MOST_LINES = 200
_RECORD_BYTES = 8 << 10  # as long as one record may be
# What a model's answers depend on, where it is here.
_PACKAGES = (
    *("openvino", "openvino-genai", "openvino-tokenizers", "torch", "transformers", "ctranslate2"),
    *("faster-whisper", "onnxruntime", "xllamacpp", "tokenizers", "llguidance", "numpy", "av"),
    *("pyzmq", "msgspec", "starlette", "uvicorn", "uvloop", "pydantic"),
)
_CGROUP_FILES = ("memory.max", "memory.current", "memory.peak", "memory.events", "memory.pressure")


def versions() -> dict[str, str]:
    """Of Python, the system and the libraries that models run on."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """Its name, where the kernel tells."""
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                return value.strip()
    return None


def kernel_log(for_s: float, kmsg: Path = KMSG) -> dict[str, Any]:
    """The kernel's lines of the last seconds, each with its age, or why they cannot be read."""
    try:
        handle = os.open(kmsg, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return {"readable": False, "why": f"{kmsg}: {error.strerror}", "lines": []}
    try:
        records = _records(handle)
    except OSError as error:
        return {"readable": False, "why": f"{kmsg}: {error.strerror}", "lines": []}
    finally:
        os.close(handle)
    now_s = time.clock_gettime(time.CLOCK_MONOTONIC)
    recent = [(at_s - now_s, text) for at_s, text in records if now_s - at_s <= for_s]
    lines = [{"at_s": round(at_s, 3), "text": text} for at_s, text in recent[-MOST_LINES:]]
    return {"readable": True, "lines": lines}


def _records(handle: int) -> list[tuple[float, str]]:
    """Each line with its second since the start, see the kernel's dev-kmsg document."""
    found: list[tuple[float, str]] = []
    while True:
        try:
            record = os.read(handle, _RECORD_BYTES)
        except BlockingIOError:
            return found
        except OSError as error:
            if error.errno == errno.EPIPE:  # it was overwritten while it was to be read
                continue
            raise
        if not record:
            return found
        head, _, text = record.decode("utf-8", "backslashreplace").partition(";")
        fields = head.split(",")
        if len(fields) > 2 and fields[2].isdecimal():
            found.append((int(fields[2]) / 1e6, text.split("\n")[0]))


def memory(mount: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> dict[str, Any]:
    """Memory as the kernel accounts it to the machine, and to this process's control group and
    those above it; each file's text as it is."""
    return {
        "meminfo": _text(proc / "meminfo"),
        "pressure": _text(proc / "pressure" / "memory"),
        "oom_kills": _counted(_text(proc / "vmstat") or "", "oom_kill"),
        "cgroups": _cgroups(mount, _text(proc / "self" / "cgroup") or ""),
    }


def _cgroups(mount: Path, table: str) -> dict[str, dict[str, str]]:
    own = next((line[4:] for line in table.splitlines() if line.startswith("0::/")), None)
    found = {}
    folder = Path(own) if own is not None else None
    while folder is not None:
        files = {name: _text(mount / folder / name) for name in _CGROUP_FILES}
        if told := {name: text for name, text in files.items() if text is not None}:
            found[f"/{folder}".rstrip(".")] = told
        folder = folder.parent if folder.parts else None
    return found


def _text(file: Path) -> str | None:
    with contextlib.suppress(OSError):
        return file.read_text().strip()
    return None


def _counted(text: str, key: str) -> int | None:
    values = (line.split()[1] for line in text.splitlines() if line.startswith(f"{key} "))
    return next(map(int, values), None)
