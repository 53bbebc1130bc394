"""What another plan would change for a server that runs; pure.

A server's own settings that are not known to be taken over live need a restart: such a change is
named, and left as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from ipc.messages.control import AccessConfig, Serve
from ipc.messages.spec import Spec
from supervisor.plan import Plan
from supervisor.reload import live

# Of the plan, of what the frontend is told, and of who may come in: what takes effect at once.
_LIVE_PLAN = ("drain_s",)
_LIVE_SERVE = (
    *("aliases", "max_audio_bytes", "max_batch_size", "max_text_chars"),
    *("metrics", "ollama", "embedding_usage", "remote_images"),
)
_LIVE_GATE = ("api_keys", "hosts", "cors_origins")
# What is compared elsewhere, differs with each start, or is nothing that somebody sets.
_NO_SETTING = frozenset(
    {"serve", "unavailable", "greet", "log_level", "weights", "settings", "origin", "specs", "gate"}
)
# What the daemon itself reads of the settings at its start.
_AT_START = ("log_level", "edge_serve_watch")
_NAMES = {
    "drain_s": "DRAIN_TIMEOUT_SEC",
    "update_watch_s": "UPDATE_WATCH_SEC",
    "fail_fast": "WARMUP_FAIL_FAST",
    "run_dir": "EDGE_SERVE_RUN_DIR",
    "metrics": "ENABLE_METRICS",
    "ollama": "OLLAMA_API",
    "embedding_usage": "EMBEDDING_USAGE_DISABLE_TOKEN_COUNT",
    "memory_mb": "FRONTEND_MEMORY_MB",
    "hosts": "TRUSTED_HOSTS",
    "cors_origins": "CORS_ALLOW_ORIGINS",
    "remote_images": "ALLOW_REMOTE_IMAGES",
}


_T = TypeVar("_T", Plan, Serve, AccessConfig)


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The models that join and leave, those that are updated and those that are adjusted without a
    new worker, each with the keys that differ; ``settings`` that take effect at once, and those
    that a ``restart`` would take over."""

    added: list[str] = []
    removed: list[str] = []
    updated: dict[str, list[str]] = {}
    adjusted: dict[str, list[str]] = {}
    settings: list[str] = []
    restart: list[str] = []

    def of(self, model: str) -> Changes:
        """Those of one model."""
        return Changes(
            added=[name for name in self.added if name == model],
            removed=[name for name in self.removed if name == model],
            updated={name: keys for name, keys in self.updated.items() if name == model},
            adjusted={name: keys for name, keys in self.adjusted.items() if name == model},
        )

    def without(self, models: Collection[str]) -> Changes:
        """The same, with these models left as they are."""
        kept = {name: keys for name, keys in self.updated.items() if name not in models}
        return replace(self, updated=kept)


def changes(
    old: Plan, served: Mapping[str, Spec], new: Plan, missing: Mapping[str, str]
) -> Changes:
    """What ``new`` is otherwise than ``old`` and the models that are ``served``. Models that are
    ``missing`` stay as they are until they can be had."""
    wanted = {spec.name: spec for spec in new.serve.specs}
    both = {name: (served[name], spec) for name, spec in wanted.items() if name in served}
    differ = {name: live.changed(*pair) for name, pair in both.items()}
    moved = {name for name, pair in both.items() if not live.same_work(*pair)}
    settings = _differing(old, new)
    return Changes(
        added=[name for name in wanted if name not in served],
        removed=[name for name in served if name not in wanted and name not in missing],
        updated={name: keys for name, keys in differ.items() if name in moved},
        adjusted={name: keys for name, keys in differ.items() if keys and name not in moved},
        settings=sorted(name for name, is_live in settings.items() if is_live),
        restart=sorted(name for name, is_live in settings.items() if not is_live),
    )


def merged(old: Plan, new: Plan) -> Plan:
    """``new``, but for what only a restart takes over."""
    gate = _taken(old.serve.gate, new.serve.gate, _LIVE_GATE)
    serve = replace(_taken(old.serve, new.serve, _LIVE_SERVE), gate=gate)
    kept = {name: getattr(new, name) for name in ("unavailable", "weights", "settings", "origin")}
    return replace(_taken(old, new, _LIVE_PLAN), serve=serve, **kept)


def _taken(old: _T, new: _T, fields: tuple[str, ...]) -> _T:
    return replace(old, **{name: getattr(new, name) for name in fields})


def _differing(old: Plan, new: Plan) -> dict[str, bool]:
    """The settings of the server that differ, by name: whether that takes effect at once."""
    parts = (
        (old, new, _LIVE_PLAN),
        (old.serve, new.serve, _LIVE_SERVE),
        (old.serve.gate, new.serve.gate, _LIVE_GATE),
    )
    kept = [name for name in _AT_START if old.settings.get(name) != new.settings.get(name)]
    return dict.fromkeys(map(str.upper, kept), False) | {
        _NAMES.get(name, name.upper()): name in fields
        for before, after, fields in parts
        for name in before.__struct_fields__
        if name not in _NO_SETTING and getattr(before, name) != getattr(after, name)
    }
