"""Everything between the settings and the daemon: models are checked and fetched, the plan is made,
and this process becomes ``python -m supervisor``."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from msgspec.structs import replace

from ipc.facts.gguf import read_header
from ipc.messages.control import FRONTEND_FILES, RemoteImages, Serve
from ipc.messages.spec import Spec
from supervisor import interrupt
from supervisor.config import access as gates
from supervisor.config import compat_settings
from supervisor.config.catalog import LocalPath, Model
from supervisor.config.engines import openvino_reads
from supervisor.config.errors import ConfigError, nearest
from supervisor.config.preflight import obstacles
from supervisor.config.settings import Settings, child_env
from supervisor.config.spec import Files, spec_for
from supervisor.config.variants import Settled, settle
from supervisor.host.hardware import Box, detect, free_mb, total_mb
from supervisor.models import torch_install
from supervisor.models.archive import FetchError, Report
from supervisor.models.convert import is_prepared, prepare
from supervisor.models.store import Store, slug
from supervisor.plan import Plan

# Room for the names of sockets in the run folder, "speech-100.1000000".
_SOCKET_NAME_BYTES = 24
# Enough for a hundred of the largest bodies, however large the machine.
MOST_FRONTEND_MB = 2048


class Launch:
    """One box's settings, applied to the chosen models."""

    def __init__(self, settings: Settings, box: Box, forced_device: str | None = None) -> None:
        self.settings = settings
        self.store = Store(settings.edge_serve_models_dir)
        self._box = box
        self._forced_device = forced_device

    def spec(self, model: Model) -> Spec:
        """The model's spec, from what is known of its files by now. Raises `ConfigError`."""
        path = self.store.path(model)
        files = Files() if model.source is None else self._files(model, path)
        return spec_for(model.entry, self.settings, self._box, files, self._forced_device)

    def settle(self, models: list[Model]) -> Settled:
        """``models``, each as the variant that is here or else as the best that fits this box."""
        return settle(
            models,
            pulled=self.store.variant,
            device=lambda model: self.spec(model).device,
            free_mb=free_mb,
        )

    def fetch(self, model: Model, report: Report) -> Spec:
        """The model's spec, its files pulled and converted where they were not yet.

        Raises `FetchError`.
        """
        if self.settings.auto_download_models:
            self.store.pull(model, report, self.settings.hf_token)
        elif fault := self.store.fault(model, report):
            raise FetchError(_mend(model, fault))
        spec = self.spec(model)

        def add_torch() -> None:
            self._add_torch(model, report)

        if torch_install.serves_by_torch(spec):
            add_torch()
            spec = self.spec(model)
        # The service may not write among the models, but what `pull` converted there serves it.
        among_models = replace(spec, cache=str(self._among_models / slug(spec.name)))
        if is_prepared(among_models):
            return among_models
        prepare(spec, lambda stage: report(stage.partition(":")[0], 0, 0), add_torch)
        return spec

    def _add_torch(self, model: Model, report: Report) -> None:
        """Install torch unless it is here. What comes may be a build without CUDA, so what the box
        has is looked at again."""
        was_here = torch_install.is_here()
        if self.settings.auto_download_models:
            torch_install.install(report)
        elif not was_here:
            raise FetchError(_torch_missing(model))
        if not was_here:
            self._box = detect()

    def obstacles(self, model: Model, fault: str | None) -> list[str]:
        """Why the model would not start on this box as it is now, with that ``fault`` of its files.
        Fetches and starts nothing."""
        spec = self.spec(model)
        found = obstacles(spec, self._box)
        will_pull = self.settings.auto_download_models and not isinstance(model.source, LocalPath)
        if fault and not will_pull:
            found.append(_mend(model, fault))
        may_install = self.settings.auto_download_models
        if torch_install.serves_by_torch(spec) and not may_install and not torch_install.is_here():
            found.append(_torch_missing(model))
        return [f"{model.entry.name}: {obstacle}" for obstacle in found]

    def plan(
        self,
        specs: list[Spec],
        unavailable: dict[str, str],
        run_dir: Path,
        aliases: dict[str, str] | None = None,
    ) -> Plan:
        settings = self.settings
        greet = _is_watched(settings)
        return Plan(
            host=settings.host,
            port=settings.port,
            run_dir=str(run_dir),
            serve=_serve(settings, specs, aliases or {}),
            unavailable={
                name: f"{reason} (restart edge-serve to try again)"
                for name, reason in unavailable.items()
            },
            log_format=settings.log_format,
            log_level="warning" if greet else settings.log_level,
            greet=greet,
            drain_s=settings.drain_timeout_sec,
            fail_fast=settings.warmup_fail_fast,
            settings=in_force(settings),
        )

    def _files(self, model: Model, path: Path) -> Files:
        is_local = isinstance(model.source, LocalPath)
        changed_at = int(path.stat().st_mtime) if is_local and path.exists() else 0
        return Files(
            path=str(path),
            cache=str(self._cache_root() / slug(model.entry.name)),
            converted=any(path.glob("openvino_*model.xml")) or _openvino_reads(path),
            gguf=path.suffix == ".gguf",
            checkpoint=any(path.glob("*.safetensors")),
            vision=has_vision(path / "config.json"),
            created=changed_at or self.store.pulled_at(model),
        )

    def _cache_root(self) -> Path:
        """systemd's cache folder for the service, else one among the models."""
        given = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
        return Path(given) if given else self._among_models

    @property
    def _among_models(self) -> Path:
        return self.store.folder / ".cache"


def _mend(model: Model, fault: str) -> str:
    """What to do about a ``fault`` of the model's files."""
    if isinstance(model.source, LocalPath):
        return f"{fault}; correct source in its entry"
    return f"{fault}; run: edge-serve pull {model.entry.name}"


def _torch_missing(model: Model) -> str:
    return f"it needs torch, which is not installed; run: edge-serve pull {model.entry.name}"


def _is_watched(settings: Settings) -> bool:
    """Whether somebody at a terminal sees what is said, who has not asked for the log."""
    asked = {"log_level", "log_format"} & settings.model_fields_set
    return not asked and sys.stderr.isatty()


def _serve(settings: Settings, specs: list[Spec], aliases: dict[str, str]) -> Serve:
    return Serve(
        specs=specs,
        aliases=aliases,
        max_audio_bytes=settings.max_audio_bytes,
        max_batch_size=settings.max_batch_size,
        max_text_chars=settings.max_text_chars,
        memory_mb=settings.frontend_memory_mb or min(total_mb() // 8, MOST_FRONTEND_MB),
        metrics=settings.enable_metrics,
        embedding_usage=not settings.embedding_usage_disable_token_count,
        gate=gates.gate(settings),
        remote_images=RemoteImages(
            allowed=settings.allow_remote_images,
            hosts=settings.remote_image_host_allowlist,
            timeout_s=settings.remote_image_timeout,
            max_bytes=settings.max_remote_image_bytes,
        ),
    )


def _openvino_reads(path: Path) -> bool:
    """Whether this is a GGUF file for OpenVINO. One that is not here yet, or is none inside, is
    taken for it: what there is to say against that is said once it is pulled, or by the engine."""
    if path.suffix != ".gguf":
        return False
    try:
        return openvino_reads(read_header(path))
    except (OSError, ValueError):
        return True


def has_vision(config: Path) -> bool:
    """Whether a checkpoint of transformers has weights for images, as its config.json says."""
    try:
        found = json.loads(config.read_bytes())
    except (OSError, ValueError):  # no checkpoint, or one that its engine will refuse
        return False
    return isinstance(found, dict) and "vision_config" in found


def fetch_all(
    launch: Launch, models: list[Model], report_for: Callable[[str], Report]
) -> tuple[list[Spec], dict[str, str]]:
    """Fetch every model; one that fails does not stop the others, its reason is kept."""
    specs, unavailable = [], {}
    for model in models:
        name = model.entry.name
        try:
            specs.append(launch.fetch(model, report_for(name)))
        except FetchError as error:
            unavailable[name] = str(error)
    return specs, unavailable


def make_run_dir(settings: Settings) -> Path:
    """The private folder for sockets and the plan. Raises `ConfigError` where it is not private."""
    path = run_dir_of(settings)
    from ipc.transport.sockets import MAX_PATH_BYTES

    longest = MAX_PATH_BYTES - _SOCKET_NAME_BYTES
    if len(bytes(path)) > longest:
        raise ConfigError(
            f"EDGE_SERVE_RUN_DIR: {path} is {len(bytes(path))} bytes long; the system's limit for "
            f"sockets leaves {longest}: set a shorter one"
        )
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ConfigError(
            f"EDGE_SERVE_RUN_DIR: {path} cannot be made ({error.strerror}); set another"
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(f"EDGE_SERVE_RUN_DIR: {path} is not a folder of this user; set another")
    if found.st_mode & 0o077:
        raise ConfigError(
            f"EDGE_SERVE_RUN_DIR: {path} is open to other users; run: chmod 700 {path}"
        )
    return path


def run_dir_of(settings: Settings) -> Path:
    """The run folder of the server that these settings make; it may not exist.

    EDGE_SERVE_RUN_DIR or what systemd gives the service, as they are. Else a folder for each port,
    in /tmp, so that several servers need different ports only; that of the user's session
    (XDG_RUNTIME_DIR) would go with a logout.
    """
    if settings.edge_serve_run_dir:
        return settings.edge_serve_run_dir.resolve()
    if given := os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        return Path(given).resolve()
    # Port 0 takes any free port, which is not known yet; the daemon keeps this process's pid.
    port = settings.port or f"any-{os.getpid()}"
    return Path(tempfile.gettempdir()) / f"edge-serve-{os.getuid()}-{port}"


def warnings(settings: Settings, models: list[Model]) -> list[str]:
    """What an operator should know before it bites."""
    found = gates.warnings(settings) + compat_settings.warnings(os.environ)
    found += _unmet(settings, models)
    found += _open_files(settings.max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    needed = sum((model.entry.memory_mb or 0) * (model.entry.replicas or 1) for model in models)
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    if needed > total:
        found.append(f"the models need about {needed} MB of memory; this machine has {total} MB")
    return found


def _open_files(connections: int, most: int) -> list[str]:
    """What to say where a process may not open as many files as there may be connections. The
    frontend raises the soft limit itself, so it is ``most``, the hard one, that counts."""
    needed = connections + FRONTEND_FILES
    if most in (resource.RLIM_INFINITY, -1) or most >= needed:
        return []
    return [
        f"MAX_CONNECTIONS={connections} needs {needed} open files, and this machine lets a process "
        f"have {most}, which leaves {max(1, most - FRONTEND_FILES)} connections; raise the limit "
        f"(ulimit -Hn {needed} as root, LimitNOFILE={needed} in a systemd unit, --ulimit "
        f"nofile={needed} of docker run) or lower MAX_CONNECTIONS"
    ]


def _unmet(settings: Settings, models: list[Model]) -> list[str]:
    """Settings that were understood but do not do what they seem to."""
    served = {model.entry.name for model in models}
    lists = {
        "WARMUP_ALLOWLIST": settings.warmup_allowlist,
        "WARMUP_SKIPLIST": settings.warmup_skiplist,
    }
    found = [
        f"MODELS: names {name} twice, and it is served once; `replicas` in its entry adds processes"
        for name in dict.fromkeys(settings.models)
        if settings.models.count(name) > 1
    ]
    found += [
        f"{setting}: {name} is not among the models that are served{nearest(name, served)}"
        for setting, names in lists.items()
        for name in names
        if name not in served
    ]
    if settings.allow_remote_images and not settings.remote_image_host_allowlist:
        found.append(
            "ALLOW_REMOTE_IMAGES: no image is fetched until REMOTE_IMAGE_HOST_ALLOWLIST names hosts"
        )
    if settings.remote_image_host_allowlist and not settings.allow_remote_images:
        found.append("REMOTE_IMAGE_HOST_ALLOWLIST: no image is fetched until ALLOW_REMOTE_IMAGES=1")
    asked = "max_new_tokens" in settings.model_fields_set
    if asked and settings.max_new_tokens > settings.chat_max_new_tokens:
        found.append(
            f"MAX_NEW_TOKENS={settings.max_new_tokens}: no answer is longer than "
            f"CHAT_MAX_NEW_TOKENS={settings.chat_max_new_tokens}; set that too"
        )
    cap = settings.max_concurrent
    if cap is not None and cap < settings.chat_batch_max_size and settings.enable_chat_batching:
        found.append(
            f"MAX_CONCURRENT={cap} holds each model to {cap} requests at a time, also where one "
            "step could serve a batch of them; unset it to have batches of CHAT_BATCH_MAX_SIZE="
            f"{settings.chat_batch_max_size}"
        )
    return found


def in_force(settings: Settings) -> dict[str, Any]:
    """The settings by name as JSON knows them, without secrets and what is not set."""
    secret = {name for name, field in Settings.model_fields.items() if not field.repr}
    return settings.model_dump(mode="json", exclude=secret, exclude_none=True)


def become_daemon(plan_file: Path) -> NoReturn:
    """Replace this process, same pid, by the daemon. It reads local files only and has no token."""
    # -P: the current folder is no place to import from.
    argv = [sys.executable, "-P", "-m", "supervisor", str(plan_file)]
    sys.stdout.flush()
    sys.stderr.flush()
    interrupt.hold(signal.SIGINT)  # until the daemon can drain
    os.execve(sys.executable, argv, child_env(HF_HUB_OFFLINE="1"))
