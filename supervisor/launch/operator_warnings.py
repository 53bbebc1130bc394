"""What an operator should know before it bites."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection

from ipc import tracing, zeroconf
from ipc.loopback import is_loopback
from ipc.messages.control import FRONTEND_FILES
from supervisor.config import access as gates
from supervisor.config import compat_settings
from supervisor.config.errors import nearest
from supervisor.config.settings import Settings


def warnings(settings: Settings, served: Collection[str], needed_mb: int = 0) -> list[str]:
    """Each as a line. ``served`` are the models by name, and all of them take ``needed_mb``."""
    found = gates.warnings(settings) + compat_settings.warnings(os.environ)
    found += tracing.warnings(os.environ, installed=tracing.is_installed())
    found += _of_wyoming(settings, announces=zeroconf.is_installed())
    found += _unmet(settings, served)
    found += _open_files(settings.max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    total_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    if needed_mb > total_mb:
        found.append(
            f"the models need about {needed_mb} MB of memory; this machine has {total_mb} MB"
        )
    return found


def _of_wyoming(settings: Settings, *, announces: bool) -> list[str]:
    """What a listener without keys means, and what keeps it from being found by itself."""
    found = []
    if settings.wyoming_port is not None and not is_loopback(settings.wyoming_host):
        found.append(
            f"WYOMING_HOST={settings.wyoming_host}: the Wyoming protocol has no key, so whoever "
            f"reaches port {settings.wyoming_port} may use the models; have a firewall let in "
            "those alone who shall"
        )
    if settings.wyoming_announce and not announces:
        found.append(
            "WYOMING_ANNOUNCE: nothing is announced, since a package is missing; run: pip install "
            f"-r {zeroconf.PACKAGES}"
        )
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


def _unmet(settings: Settings, served: Collection[str]) -> list[str]:
    """Settings that were understood but do not do what they seem to."""
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
