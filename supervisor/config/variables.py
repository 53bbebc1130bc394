"""Environment variables that would be taken without a word and not do what was meant.

A name that is one letter away from a setting's, or the setting's with EDGE_SERVE_ before it, is
refused, wherever it is set: a key file under a wrong name leaves the server open. Names that many
programs share (`_SHARED`) are no evidence, so their near misses are left alone; and whoever sets
the right name too, be it to nothing, knows what the other one is for.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping

from supervisor.config.errors import ConfigError

PREFIX = "EDGE_SERVE_"
# Settings whose names other programs use, or nearly: HOSTNAME, PORTS, MODEL, LOGLEVEL.
_SHARED = frozenset({"HOST", "PORT", "MODELS", "LOG_FORMAT", "LOG_LEVEL", "HF_TOKEN"})
# OpenSSL's file of trusted certificates, one letter from ours.
_FOREIGN = frozenset({"SSL_CERT_FILE"})
_KEYS = ("API_KEYS", "API_KEYS_FILE")
_UNEXPANDED = re.compile(r"\$(\{?[A-Za-z_]\w*\}?)")


def slips(environment: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """The variables that are slips of a setting's name, each with that setting."""
    names = {name.upper() for name in environment}
    found = {}
    for name, value in sorted(environment.items()):
        setting = meant(name, known)
        if setting is None or setting in names:
            continue
        if setting in _KEYS and not names.isdisjoint(_KEYS):
            continue  # keys are set, whichever way
        if not value.startswith("tcp://"):  # as Kubernetes tells of a service called edge-serve
            found[name] = setting
    return found


def check_names(environment: Mapping[str, str], known: Collection[str]) -> None:
    """Raises `ConfigError` for the first variable that is a slip of a setting's name."""
    for name, setting in slips(environment, known).items():
        raise ConfigError(explained(name, setting))


def meant(name: str, known: Collection[str]) -> str | None:
    """The setting that ``name`` is a slip of; None if it may well be another program's."""
    name = name.upper()
    if name in known or name in _FOREIGN:
        return None
    if (bare := name.removeprefix(PREFIX)) != name and bare in known:
        return bare
    for setting in known:
        if setting not in _SHARED and _is_slip(name, setting):
            return setting
    return None


def explained(name: str, setting: str) -> str:
    return f"{name} is not a setting; did you mean {setting}? Set that, or unset {name}"


def check_values(values: Mapping[str, str], secret: Collection[str]) -> None:
    """Raises `ConfigError` for a value in quotes, or with ``${NAME}`` left in it. Of those in
    ``secret`` none is shown, and they may have any character."""
    for name, value in values.items():
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            raise ConfigError(f"{name}: its value has quotes around it, as part of it; remove them")
        if name not in secret and (found := _UNEXPANDED.search(value)):
            raise ConfigError(
                f"{name}: {found[0]} is not expanded here; write what it stands for "
                "(.env expands ${NAME} outside of single quotes)"
            )


def unexpanded(text: str) -> str | None:
    """The ``${NAME}`` that stands in ``text``, if one does."""
    found = re.search(r"\$\{\w+\}", text)
    return found[0] if found else None


def _is_slip(name: str, setting: str) -> bool:
    bare, wanted = _letters(name), _letters(setting)
    if abs(len(bare) - len(wanted)) > 1:
        return False
    return bare == wanted or _one_edit(name, setting) or _one_edit(bare, wanted)


@functools.lru_cache(maxsize=1024)
def _letters(text: str) -> str:
    """``text`` without what stands between its words."""
    return re.sub("[^A-Z0-9]", "", text)


def _one_edit(one: str, other: str) -> bool:
    """Whether one letter more, less or other, or two that changed places, makes them equal."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    same = next((at for at, char in enumerate(short) if char != long[at]), len(short))
    if len(short) < len(long):
        return short[same:] == long[same + 1 :]
    swapped = short[same : same + 2] == long[same : same + 2][::-1]
    return short[same + 1 :] == long[same + 1 :] or (
        swapped and short[same + 2 :] == long[same + 2 :]
    )
