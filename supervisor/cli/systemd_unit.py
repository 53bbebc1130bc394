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


def unit(settings: Settings, models: Path, allow: Sequence[str]) -> str:
    """The unit's text, with the settings in force that differ from its defaults written into it.

    Raises `ConfigError` where an unprivileged service could not work.
    """
    python = Path(sys.executable)
    secrets = (settings.api_keys_file, settings.ssl_certfile, settings.ssl_keyfile)
    for path in (ROOT, python, models, *filter(None, secrets)):
        if any(mark in str(path) for mark in " \t%\"'\\"):
            raise ConfigError(f"{path}: a unit cannot name a path with such characters; move it")
    needed = [ROOT, python, python.resolve(), models]
    text = TEMPLATE.read_text().format(
        root=ROOT,
        python=python,
        models=models,
        settings="\n".join(_settings(settings)),
        account=_account(needed),
        home="read-only" if any(_is_private(path) for path in needed) else "yes",
        groups=_gpu_groups(),
        networks=_networks(settings.host, allow),
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


def _networks(host: str, allow: Sequence[str]) -> str:
    if not is_loopback(host) and not allow:
        raise ConfigError(
            f"HOST: {host} is reachable from outside, but nobody is let in; name the network with "
            "--allow, say --allow 192.168.1.0/24"
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
