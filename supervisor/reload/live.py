"""What of a spec its workers are not run by, so that a change of it restarts nobody."""

from __future__ import annotations

from ipc.messages.spec import Spec

# The frontend's limits and values for requests, and what the supervisor decides by.
LIVE = (
    *("load", "idle_unload_s", "pin", "memory_mb", "replicas", "scaling", "prefetch", "golden"),
    "migrate",
    *("queue_limit", "queue_bytes", "queue_timeout_s", "request_timeout_s"),
    *("defaults", "owned_by", "created", "engine_why"),
)


def changed(old: Spec, new: Spec) -> list[str]:
    """The keys in which they differ, by name."""
    return [key for key in Spec.__struct_fields__ if getattr(old, key) != getattr(new, key)]


def same_work(old: Spec, new: Spec) -> bool:
    """Whether a worker of the one is a worker of the other."""
    return all(key in LIVE for key in changed(old, new))
