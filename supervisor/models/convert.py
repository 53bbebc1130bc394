"""Let an engine convert a pulled model once, before anything is served.

`worker.conversion` does the work in a process of its own; this only knows when there is none to do.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ipc.engines import ENGINES, serving
from ipc.messages.spec import Spec
from ipc.runtime import durable, lifeline
from supervisor.config.settings import child_env
from supervisor.models.archive import FetchError
from supervisor.notify import Notifier

MARKER = ".prepared"
# What one of the user's own may convert by.
_LIBRARIES = tuple(dict.fromkeys(name for one in ENGINES.values() for name in one.conversion))


class _TorchMissing(FetchError):
    """The conversion needs torch, which is not installed."""


def prepare(
    spec: Spec,
    on_stage: Callable[[str], None],
    add_torch: Callable[[], None],
    elsewhere: Path | None = None,
) -> Spec:
    """``spec`` with the cache folder that has its conversion: ``elsewhere`` if it is there already,
    else its own, where it is converted now if its engine wants that. One of the user's own is
    asked; of ours it is known, since importing torch to ask takes seconds.

    ``add_torch`` is called if the conversion turns out to need torch where there is none.
    Raises `FetchError`. Under systemd each stage also extends the time allowed for starting.
    """
    if (here := prepared(spec, elsewhere)) is not None:
        return here
    _convert(spec, _key(spec), on_stage, add_torch)
    return spec


def prepared(spec: Spec, elsewhere: Path | None = None) -> Spec | None:
    """``spec`` with the cache folder that has its conversion, or as it is if it needs none; None
    if its engine may still have to convert it."""
    key = _key(spec)
    for cache in (elsewhere, Path(spec.cache) if spec.cache else None):
        if cache is not None and _holds(cache, key):
            return replace(spec, cache=str(cache))
    return None if spec.cache and _libraries(spec.engine) else spec


def _convert(
    spec: Spec, key: str, on_stage: Callable[[str], None], add_torch: Callable[[], None]
) -> None:
    cache = Path(spec.cache)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        try:
            _run(spec, on_stage)
        except _TorchMissing:
            add_torch()
            _run(spec, on_stage)
        durable.write_file(cache / MARKER, key.encode())
    except OSError as error:
        raise FetchError(f"cannot keep a conversion in {cache}: {error.strerror}") from None


def _holds(cache: Path, key: str) -> bool:
    """Whether the folder ``cache`` has the conversion of that ``key``."""
    try:
        return (cache / MARKER).read_bytes() == key.encode()
    except OSError:
        return False


def _key(spec: Spec) -> str:
    """Changes with everything that a conversion may depend on."""
    facts = [spec.engine, spec.task, spec.device, spec.path, str(spec.created), str(spec.options)]
    facts += [_version(library) for library in _libraries(spec.engine)]
    found = serving(spec.engine, spec.task)
    facts.append(found.form if found else "")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _libraries(engine: str) -> tuple[str, ...]:
    """What an engine converts by; nothing if it does not convert."""
    return ENGINES[engine].conversion if engine in ENGINES else _LIBRARIES


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _run(spec: Spec, on_stage: Callable[[str], None]) -> None:
    _ask_for_time(spec)
    on_stage("preparing")
    with tempfile.NamedTemporaryFile(suffix=".json") as file, tempfile.TemporaryFile() as errors:
        file.write(msgspec.json.encode(spec))
        file.flush()
        argv = [sys.executable, "-P", "-m", "worker.conversion", "--spec", file.name]
        with subprocess.Popen(
            argv,
            env=child_env(HF_HUB_OFFLINE="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                _ask_for_time(spec)
                on_stage(line.strip())
        if process.returncode:
            errors.seek(0)
            why = lifeline.last_words(errors.read())
            why = why or f"the conversion ended with status {process.returncode}"
            raise _TorchMissing(why) if process.returncode == os.EX_UNAVAILABLE else FetchError(why)


def _ask_for_time(spec: Spec) -> None:
    """Have systemd allow for one more stage of a conversion, sd_notify(3)."""
    if "NOTIFY_SOCKET" in os.environ:
        time_us = int(spec.load_stall_s * 1e6)
        Notifier().send(f"EXTEND_TIMEOUT_USEC={time_us}", f"STATUS=preparing {spec.name}")
