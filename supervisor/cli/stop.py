"""Ask a running edge-serve of this machine to stop, and wait until it has."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

from supervisor import run_dir


class NotStopped(Exception):
    """It still runs, or may not be asked. The message says what to do."""


def stop(folder: Path, wait_s: float) -> int | None:
    """End the server that runs in ``folder`` as SIGTERM does: it drains first. The pid that it had;
    None if none runs there. Raises `NotStopped`."""
    pid = run_dir.owner(folder)
    if pid is None:
        return None
    try:
        # Of another process with this pid the folder would not be locked.
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return pid
    try:
        if run_dir.owner(folder) != pid:
            return pid
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], wait_s)[0]:
            raise NotStopped(
                f"process {pid} has not ended within {wait_s:g} s; it is still finishing answers. "
                "Run edge-serve stop again to end them at once"
            )
    except ProcessLookupError:
        return pid
    except PermissionError:
        raise NotStopped(f"process {pid} is another user's; run this as that user") from None
    finally:
        os.close(handle)
    return pid
