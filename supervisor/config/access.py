"""Who may come in: keys, names and certificates from the settings, as the plan's `AccessConfig`.

Keys are digested here, so that neither the plan nor any process of the daemon has one. They are
random, not words that people choose, so that one round of SHA-256 is enough.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ipc.loopback import is_loopback
from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from supervisor.config.address import authority
from supervisor.config.allowed_names import host_rule, origin_rule
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Settings
from supervisor.keys.line import GivenKey, LineError, has_odd_end, is_key, parse
from supervisor.keys.text import digest_of, lines_of

# The file's name among the credentials that systemd passes to a service.
CREDENTIAL = "api_keys"
SHORT_KEY_CHARS = 16
# Names that no other site's DNS can claim for this machine.
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]


def gate(settings: Settings, kept: Mapping[str, ApiKey] = MappingProxyType({})) -> AccessConfig:
    """The gate in force. ``kept`` are keys of API_KEYS in an environment that this process does not
    have. Raises `ConfigError`, which never shows a key."""
    keys = digested(read_keys(settings))
    if twice := keys.keys() & kept.keys():
        raise ConfigError(f"the key {min(twice)!r} is in API_KEYS too; give each its own name")
    keys |= kept
    _check_certificate(settings)
    return AccessConfig(
        api_keys=keys,
        hosts=_hosts(settings, with_keys=bool(keys)),
        cors_origins=_origins(settings),
        max_connections=settings.max_connections,
        ssl_certfile=str(settings.ssl_certfile) if settings.ssl_certfile else None,
        ssl_keyfile=str(settings.ssl_keyfile) if settings.ssl_keyfile else None,
    )


def read_keys(settings: Settings) -> dict[str, GivenKey]:
    """Every key by its name, from API_KEYS, the file, and systemd's credential."""
    sources = [("API_KEYS", settings.api_keys)]
    for label, path in key_files(settings):
        try:
            sources.append((f"{label}: {path}", lines_of(path.read_bytes().decode())))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise ConfigError(f"{label}: {path} cannot be read: {reason}") from None
    keys: dict[str, GivenKey] = {}
    for label, lines in sources:
        _add(keys, label, lines)
    if not keys and len(sources) > 1:
        # Serving everybody is not what somebody who named a file had in mind.
        raise ConfigError(f"{sources[-1][0]} holds no key; write one on a line, as name:key")
    return keys


def digested(keys: Mapping[str, GivenKey]) -> dict[str, ApiKey]:
    """The same without their secrets."""
    return {name: given.key for name, given in keys.items()}


def keys_of_variable(settings: Settings) -> dict[str, ApiKey]:
    """The keys of API_KEYS by their names. Raises `ConfigError`."""
    keys: dict[str, GivenKey] = {}
    _add(keys, "API_KEYS", settings.api_keys)
    return digested(keys)


def keys_digest(settings: Settings) -> str:
    """That of the text of API_KEYS_FILE. To be asked for before the keys are read: if the file is
    written in between, it differs from what was read. Empty where it cannot be read, which is told
    then."""
    try:
        file = settings.api_keys_file
        return digest_of(file.read_bytes().decode()) if file is not None else ""
    except (OSError, UnicodeDecodeError):
        return ""


def key_files(settings: Settings) -> list[tuple[str, Path]]:
    """The files that keys are read from, each with the setting that names it."""
    found = []
    if settings.api_keys_file:
        found.append(("API_KEYS_FILE", settings.api_keys_file))
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (credential := Path(folder) / CREDENTIAL).exists():
        found.append(("LoadCredential", credential))
    return found


def _add(keys: dict[str, GivenKey], label: str, lines: list[str]) -> None:
    for number, line in enumerate(lines, start=1):
        if not is_key(line):
            continue
        where = f"{label}, key {number}"
        try:
            given = parse(line)
        except LineError as error:
            raise ConfigError(f"{where}: {error}") from None
        name = given.name or f"key-{len(keys) + 1}"
        if name in keys:
            raise ConfigError(f"{where}: the name {name!r} is used twice; give each its own")
        keys[name] = replace(given, place=where)


def _hosts(settings: Settings, *, with_keys: bool) -> list[str]:
    """The names to answer to. Behind loopback without a key only such as nobody else can claim."""
    trusted = [_usable("TRUSTED_HOSTS", host_rule, host) for host in settings.trusted_hosts]
    if "*" in trusted:
        return []
    if trusted:
        return list(dict.fromkeys([*LOOPBACK_HOSTS, *trusted]))
    if with_keys or not is_loopback(settings.host):
        return []
    return list(dict.fromkeys([*LOOPBACK_HOSTS, host_rule(settings.host)]))


def _origins(settings: Settings) -> list[str]:
    given = settings.cors_allow_origins
    found = [_usable("CORS_ALLOW_ORIGINS", origin_rule, origin) for origin in given]
    return list(dict.fromkeys(found))


def _usable(setting: str, rule: Callable[[str], str], text: str) -> str:
    try:
        return rule(text)
    except ValueError as error:
        raise ConfigError(f"{setting}: {text!r} {error}") from None


def _check_certificate(settings: Settings) -> None:
    certificate, key = settings.ssl_certfile, settings.ssl_keyfile
    if certificate is None:
        if key is not None:
            raise ConfigError("SSL_CERTFILE: is missing; SSL_KEYFILE needs it")
        return
    for name, path in (("SSL_CERTFILE", certificate), ("SSL_KEYFILE", key)):
        if path is not None:
            try:
                path.read_bytes()
            except OSError as error:
                raise ConfigError(f"{name}: {path} cannot be read: {error.strerror}") from None
    try:
        # A password would be asked for at a terminal that a service does not have.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ConfigError(
            f"SSL_CERTFILE: {certificate} and its key cannot be used ({reason}); they must be PEM, "
            "belong together, and have no password"
        ) from None


def warnings(settings: Settings) -> list[str]:
    """What an operator should know before somebody else finds out."""
    keys = read_keys(settings)
    where = authority(settings.host, settings.port)
    found = [
        f"{name} is set, but to nothing: it asks nobody for a key"
        for name in ("API_KEYS", "API_KEYS_FILE")
        if os.environ.get(name) == "" and not keys
    ]
    if not is_loopback(settings.host) and not keys:
        found.append(
            f"listening on {where} WITHOUT AUTHENTICATION: everyone who "
            "can reach this machine can use it. Set API_KEYS_FILE, or HOST=127.0.0.1 unless the "
            "network is trusted."
        )
    if not is_loopback(settings.host) and keys and settings.ssl_certfile is None:
        found.append(
            f"listening on {where} without TLS: API keys cross the network "
            "readable by others on it. Set SSL_CERTFILE and SSL_KEYFILE, or put a proxy in front."
        )
    if not keys and "*" in settings.cors_allow_origins:
        found.append("CORS_ALLOW_ORIGINS=* without API keys: every web page may use this server.")
    short = [name for name, key in keys.items() if 0 < len(key.secret) < SHORT_KEY_CHARS]
    if short:
        found.append(f"short API keys can be guessed ({', '.join(short)}); openssl rand -hex 32")
    found += [
        f"{key.place}: what stands behind its last colon is a part of the secret, since it is none "
        "of :user and :admin with a weight of 0.001 to 9999.999 and a priority of -10 to 10"
        for key in keys.values()
        if has_odd_end(key)
    ]
    private = [path for label, path in key_files(settings) if label == "API_KEYS_FILE"]
    private += [settings.ssl_keyfile] if settings.ssl_keyfile else []
    opened = [path for path in private if path.stat().st_mode & 0o077]
    return found + [f"{path} is open to other users; run: chmod 600 {path}" for path in opened]
