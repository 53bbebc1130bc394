"""What another plan would change for a server that runs; pure.

A server's own settings that are not known to be taken over live need a restart: such a change is
named, and left as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from ipc.messages.configuration import Setting
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
    {"serve", "unavailable", "greet", "log_level", "weights", "specs", "gate"}
    | {"settings", "values", "origin"}
)
# What the daemon itself reads of the settings at its start.
_AT_START = frozenset({"LOG_LEVEL", "EDGE_SERVE_WATCH"})
# What a field is made from, where that is not called alike.
_NAMES: Mapping[str, Sequence[str]] = {
    "drain_s": ["DRAIN_TIMEOUT_SEC"],
    "update_watch_s": ["UPDATE_WATCH_SEC"],
    "preload": ["MODEL_PRELOAD"],
    "fail_fast": ["WARMUP_FAIL_FAST"],
    "run_dir": ["EDGE_SERVE_RUN_DIR"],
    "state_dir": ["EDGE_SERVE_STATE_DIR"],
    "metrics": ["ENABLE_METRICS"],
    "vllm_metrics": ["METRICS_COMPAT"],
    "ollama": ["OLLAMA_API"],
    "wyoming_announced": ["WYOMING_ANNOUNCE"],
    "keep_alive_max_s": ["KEEP_ALIVE_MAX_SEC"],
    "embedding_usage": ["EMBEDDING_USAGE_DISABLE_TOKEN_COUNT"],
    "memory_mb": ["FRONTEND_MEMORY_MB"],
    "hosts": ["TRUSTED_HOSTS"],
    "cors_origins": ["CORS_ALLOW_ORIGINS"],
    "remote_images": [
        *("ALLOW_REMOTE_IMAGES", "REMOTE_IMAGE_HOST_ALLOWLIST"),
        *("REMOTE_IMAGE_TIMEOUT", "MAX_REMOTE_IMAGE_BYTES"),
    ],
    "batches": [
        *("BATCH_STORAGE_MB", "MAX_BATCH_FILE_BYTES", "MAX_BATCH_LINES"),
        *("MAX_BATCHES", "BATCH_LINES_AT_ONCE"),
    ],
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
    kept = {name: getattr(new, name) for name in ("unavailable", "weights", "values", "origin")}
    settings = _settings(old, new)
    return replace(_taken(old, new, _LIVE_PLAN), serve=serve, settings=settings, **kept)


def _settings(old: Plan, new: Plan) -> list[Setting]:
    """Those of ``new``, but for those that are still as in ``old`` until a restart."""
    waiting = {name for name, is_live in _differing(old, new).items() if not is_live}
    before = {one.name: one for one in old.settings if one.name in waiting}
    return [
        replace(before[one.name], restart=True) if one.name in before else one
        for one in new.settings
    ]


def _taken(old: _T, new: _T, fields: tuple[str, ...]) -> _T:
    return replace(old, **{name: getattr(new, name) for name in fields})


def _differing(old: Plan, new: Plan) -> dict[str, bool]:
    """The settings of the server that differ, by name: whether that takes effect at once."""
    parts = (
        (old, new, _LIVE_PLAN),
        (old.serve, new.serve, _LIVE_SERVE),
        (old.serve.gate, new.serve.gate, _LIVE_GATE),
    )
    changed = _changed(old, new)
    return dict.fromkeys(changed & _AT_START, False) | {
        setting: name in fields
        for before, after, fields in parts
        for name in before.__struct_fields__
        if name not in _NO_SETTING and getattr(before, name) != getattr(after, name)
        for setting in _settings_of(name, changed)
    }


def _changed(old: Plan, new: Plan) -> set[str]:
    """The settings that have another value."""
    before = {one.name: one.value for one in old.settings}
    return {one.name for one in new.settings if one.value != before.get(one.name)}


def _settings_of(field: str, changed: set[str]) -> Sequence[str]:
    """Those by which ``field`` has changed; the first that it is made from if nobody knows."""
    names = _NAMES.get(field, [field.upper()])
    return [name for name in names if name in changed] or names[:1]
