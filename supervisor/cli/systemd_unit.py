"""The systemd unit for this checkout: the template in configs/, its braces filled in."""

from __future__ import annotations

import grp
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ipc.loopback import is_loopback
from supervisor.config.access import CREDENTIAL
from supervisor.config.errors import ConfigError
from supervisor.config.settings import ROOT, Settings

TEMPLATE = ROOT / "configs" / "edge-serve.service"
_PRIVATE = ("/home", "/root", "/run/user")  # what ProtectHome=yes hides
# Growing pauses between restarts came with systemd 254; an older one warns about the keys.
_STEPS_VERSION = 254
_STEPS_KEYS = ("RestartSteps=", "RestartMaxDelaySec=")


# What a service is whose models somebody else fetches.
_FED = {
    "fetching": """\
# Serving never fetches: `edge-serve pull` does, beforehand.
Environment=AUTO_DOWNLOAD_MODELS=0
Environment=HF_HUB_OFFLINE=1
Environment=EDGE_SERVE_MODELS_DIR={models}""",
    "folders": "edge-serve",
    "kept": """\
# For models that are fetched while it runs (POST /admin/pulls, the page): install-service --pulls.
ReadOnlyPaths=-{models}""",
    "wall": "# A last wall against requests that make a model's process call out.",
}
# One that fetches them by itself has a folder for them, and a way out.
_PULLING = {
    "fetching": """\
# It fetches models by itself, into a folder of its own that its workers cannot change.
Environment=EDGE_SERVE_MODELS_DIR=%S/edge-serve-models""",
    "folders": "edge-serve edge-serve-models",
    "kept": "# Its workers give up changing models, by Landlock: see supervisor/DESIGN.md.",
    "wall": "# To fetch models it has to reach their hub: who may connect, its keys decide.",
}
_ANYWHERE = "any"


def unit(settings: Settings, models: Path, allow: Sequence[str], *, pulls: bool = False) -> str:
    """The unit's text, with the settings in force that differ from its defaults written into it.
    With ``pulls`` the service fetches models by itself, into a folder of its own in place of
    ``models``.

    Raises `ConfigError` where an unprivileged service could not work.
    """
    python = Path(sys.executable)
    secrets = (settings.api_keys_file, settings.ssl_certfile, settings.ssl_keyfile)
    for path in (ROOT, python, models, *filter(None, secrets)):
        if any(mark in str(path) for mark in " \t%\"'\\"):
            raise ConfigError(f"{path}: a unit cannot name a path with such characters; move it")
    needed = [ROOT, python, python.resolve(), *([] if pulls else [models])]
    networks = _networks(settings, allow)
    kind = _PULLING if pulls else _FED
    text = TEMPLATE.read_text().format(
        **{name: part.format(models=models) for name, part in kind.items()},
        root=ROOT,
        python=python,
        settings="\n".join(_settings(settings)),
        account=_account(needed),
        home="read-only" if any(_is_private(path) for path in needed) else "yes",
        groups=_gpu_groups(),
        networks=_ANYWHERE if pulls else networks,
    )
    if _systemd_version() < _STEPS_VERSION:
        lines = text.splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith(_STEPS_KEYS))
    return text


def _settings(settings: Settings) -> list[str]:
    """The settings in force as lines, so that the service serves what this shell would."""
    shown = {"host": settings.host, "port": settings.port, "model_device": settings.model_device}
    if settings.ollama_api:
        shown["ollama_api"] = 1
    if settings.ollama_port is not None:
        shown["ollama_port"] = settings.ollama_port
    if settings.wyoming_port is not None:
        shown |= {"wyoming_port": settings.wyoming_port, "wyoming_host": settings.wyoming_host}
        shown |= {"wyoming_announce": 1} if settings.wyoming_announce else {}
    if settings.models:
        shown["models"] = ",".join(settings.models)
    if settings.edge_serve_config:
        shown["edge_serve_config"] = str(settings.edge_serve_config)
    for name in ("trusted_hosts", "cors_allow_origins"):
        if given := getattr(settings, name):
            shown[name] = ",".join(given)
    lines = [f"Environment={name.upper()}={value}" for name, value in shown.items()]
    return [*lines, *_credentials(settings)]


def _credentials(settings: Settings) -> list[str]:
    """Files that only root may read: systemd hands them to the service.

    A credential without a path is one of /etc/credstore, and may be missing.
    """
    keys = settings.api_keys_file or f"edge-serve.{CREDENTIAL}"
    lines = [f"LoadCredential={CREDENTIAL}:{keys}"]
    for name in ("ssl_certfile", "ssl_keyfile"):
        if path := getattr(settings, name):
            lines += [f"LoadCredential={name}:{path}", f"Environment={name.upper()}=%d/{name}"]
    return lines


def _account(needed: Sequence[Path]) -> str:
    """A user made for the run where everybody may read the checkout, else the checkout's owner."""
    if all(_is_public(path) for path in needed):
        return "DynamicUser=yes"
    owner = ROOT.stat().st_uid
    if owner == 0:
        closed = next(path for path in needed if not _is_public(path))
        raise ConfigError(
            f"{closed} is closed to other users, and the service does not run as root, who owns "
            "this checkout; move what is closed to /opt or /srv, or open it for reading"
        )
    return f"User={pwd.getpwuid(owner).pw_name}"


def _is_public(path: Path) -> bool:
    """Whether every user may reach ``path`` and read it; one that is not there yet may be made."""
    try:
        modes = [folder.stat().st_mode for folder in path.parents]
        readable = not path.exists() or path.stat().st_mode & 0o004
    except FileNotFoundError:
        return _is_public(path.parent)
    return bool(readable) and all(mode & 0o001 for mode in modes)


def _is_private(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _PRIVATE)


def _gpu_groups() -> str:
    """The groups that own GPUs (ROCm, Jetson, Intel), those that exist: others stop a unit."""
    known = {group.gr_name for group in grp.getgrall()}
    groups = [name for name in ("render", "video") if name in known]
    return f"SupplementaryGroups={' '.join(groups)}" if groups else ""


def _networks(settings: Settings, allow: Sequence[str]) -> str:
    hosts = {"HOST": settings.host}
    if settings.wyoming_port is not None:
        hosts["WYOMING_HOST"] = settings.wyoming_host
    for name, host in hosts.items():
        if not is_loopback(host) and not allow:
            raise ConfigError(
                f"{name}: {host} is reachable from outside, but nobody is let in; name the network "
                "with --allow, say --allow 192.168.1.0/24"
            )
    return " ".join(["localhost", *allow])


def _systemd_version() -> int:
    """The version of systemd here; a recent one where it cannot be asked."""
    if (systemctl := shutil.which("systemctl")) is None:
        return _STEPS_VERSION
    asked = subprocess.run(
        [systemctl, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    words = asked.stdout.split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else _STEPS_VERSION
