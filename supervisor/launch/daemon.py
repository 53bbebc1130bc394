"""The end of the command line: its plan for the daemon, and the change into it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ipc import cluster
from ipc.engines import ENGINES
from ipc.messages.control import (
    AccessConfig,
    BatchConfig,
    HistoryConfig,
    IncidentsConfig,
    RemoteImages,
    Serve,
)
from ipc.messages.spec import Groups, Spec
from supervisor import interrupt
from supervisor.cluster.forwarding import forwarding
from supervisor.config import access as gates
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Flags, Settings, child_env
from supervisor.host.hardware import total_mb
from supervisor.launch import setting_origins
from supervisor.launch.candidate import Candidate
from supervisor.launch.service_folders import service_folders
from supervisor.launch.values import values_of
from supervisor.plan import Origin, Plan

# Enough for a hundred of the largest bodies, however large the machine.
MOST_FRONTEND_MB = 2048


def plan_for(
    settings: Settings,
    ready: Sequence[Candidate],
    unavailable: dict[str, str],
    run_dir: Path,
    aliases: dict[str, str] | None = None,
    state_dir: Path | None = None,
    flags: Flags | None = None,
    origin: Origin | None = None,
    groups: Groups | None = None,
) -> Plan:
    """What the daemon shall do; ``flags`` are the options that it was started with.

    ``ready`` are the models to serve; ``unavailable`` has the reason by the name of each that
    cannot be, and ``aliases`` a model's own name by each of its others. By the ``origin`` the plan
    can be made again.
    """
    greet = _is_watched(settings)
    return Plan(
        host=settings.host,
        port=settings.port,
        ollama_port=settings.ollama_port,
        wyoming_host=settings.wyoming_host,
        wyoming_port=settings.wyoming_port,
        run_dir=str(run_dir),
        state_dir=str(state_dir or ""),
        serve=_serve(
            settings,
            [_told(one, state_dir) for one in ready],
            aliases or {},
            state_dir,
            gates.gate(settings, {} if settings.api_keys or not origin else origin.api_keys),
        ),
        unavailable={
            name: f"{reason} (edge-serve reload tries again)"
            for name, reason in unavailable.items()
        },
        log_format=settings.log_format,
        log_level="warning" if greet else settings.log_level,
        greet=greet,
        drain_s=settings.drain_timeout_sec,
        keep_prefixes=settings.keep_prefixes,
        update_watch_s=settings.update_watch_sec,
        memory_budget_mb=settings.memory_budget_mb,
        groups=groups or Groups(),
        preload=settings.model_preload,
        fail_fast=settings.warmup_fail_fast,
        weights={one.name: one.weights for one in ready},
        settings=setting_origins.told(settings, flags or Flags(), origin.added if origin else ()),
        values={one.name: values_of(one) for one in ready},
        command_env=_command_env(flags or Flags()),
        read_only=_read_only(settings),
        origin=origin,
    )


def _told(candidate: Candidate, state_dir: Path | None) -> Spec:
    """What its workers on this box are. Raises `ConfigError` where it is for a cluster and the box
    belongs to none, or the model is in another server, which any box can ask."""
    if not candidate.model.entry.cluster:
        return candidate.spec
    if candidate.spec.engine in ENGINES and ENGINES[candidate.spec.engine].files == "elsewhere":
        raise ConfigError(
            f"{candidate.name}: cluster: engine {candidate.spec.engine} has no replicas to place; "
            "remove cluster"
        )
    folder = cluster.folder_of(state_dir) if state_dir else None
    member = cluster.read(folder) if folder else None
    if folder is None or member is None:
        raise ConfigError(
            f"{candidate.name}: cluster: this box belongs to none; run: edge-serve cluster init, "
            "or join"
        )
    return forwarding(candidate.spec, candidate.memory.mb or 0, folder, Path(member.models_dir))


def _read_only(settings: Settings) -> str:
    """The models folder, where the service may change it: its pulls do, its workers shall not. A
    user's own server is not confined: what its programs write where is his."""
    folder = settings.edge_serve_models_dir.resolve()
    own = [one.resolve() for one in service_folders("STATE")]
    return str(folder) if folder in own else ""


def _command_env(flags: Flags) -> dict[str, str]:
    """What commands of the daemon have to know: the options that it was started with, and whether
    they may ask the hub, which the daemon itself never does."""
    return {**flags.variables(), "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "")}


def _is_watched(settings: Settings) -> bool:
    """Whether somebody at a terminal sees what is said, who has not asked for the log."""
    asked = {"log_level", "log_format"} & settings.model_fields_set
    return not asked and sys.stderr.isatty()


def _serve(
    settings: Settings,
    specs: list[Spec],
    aliases: dict[str, str],
    state_dir: Path | None,
    gate: AccessConfig,
) -> Serve:
    return Serve(
        specs=specs,
        aliases=aliases,
        max_audio_bytes=settings.max_audio_bytes,
        max_batch_size=settings.max_batch_size,
        max_text_chars=settings.max_text_chars,
        memory_mb=settings.frontend_memory_mb or min(total_mb() // 8, MOST_FRONTEND_MB),
        metrics=settings.enable_metrics,
        vllm_metrics=settings.metrics_compat == "vllm",
        ollama=settings.ollama_api,
        wyoming_announced=settings.wyoming_announce,
        keep_alive_max_s=settings.keep_alive_max_sec,
        trust_trace_parent=settings.otel_trust_parent,
        embedding_usage=not settings.embedding_usage_disable_token_count,
        gate=gate,
        remote_images=RemoteImages(
            allowed=settings.allow_remote_images,
            hosts=settings.remote_image_host_allowlist,
            timeout_s=settings.remote_image_timeout,
            max_bytes=settings.max_remote_image_bytes,
        ),
        batches=BatchConfig(
            folder=str(state_dir / "batches") if state_dir else "",
            storage_bytes=settings.batch_storage_mb << 20,
            max_file_bytes=settings.max_batch_file_bytes,
            max_lines=settings.max_batch_lines,
            max_batches=settings.max_batches,
            lines_at_once=settings.batch_lines_at_once,
        ),
        history=HistoryConfig(
            file=str(state_dir / "history.db") if state_dir and settings.history_mb else "",
            max_bytes=settings.history_mb << 20,
            days=settings.history_days,
        ),
        incidents=IncidentsConfig(
            folder=str(state_dir / "incidents") if state_dir and settings.incidents_mb else "",
            max_bytes=settings.incidents_mb << 20,
        ),
    )


def become_daemon(plan_file: Path) -> NoReturn:
    """Replace this process, same pid, by the daemon. It reads local files only and has no token."""
    # -P: the current folder is no place to import from.
    argv = [sys.executable, "-P", "-m", "supervisor", str(plan_file)]
    sys.stdout.flush()
    sys.stderr.flush()
    interrupt.hold(signal.SIGINT)  # until the daemon can drain
    os.execve(sys.executable, argv, child_env(HF_HUB_OFFLINE="1"))
