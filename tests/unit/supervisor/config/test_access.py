"""From settings to the gate: keys are digested, mistakes are one line, and no key is ever shown."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from ipc.messages.keys import ApiKey
from supervisor.config import access as gates
from supervisor.config import settings
from supervisor.config.access import gate
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Flags, child_env

KEY = "0123456789abcdef-secret"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in [*settings.Settings.model_fields, "credentials_directory"]:
        os.environ.pop(name.upper(), None)


def load(**environment: object) -> settings.Settings:
    os.environ.update({name: str(value) for name, value in environment.items()})
    return settings.load(Flags())


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    made, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    files = ["-days", "2", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return made, key


# --- keys ---


def test_keys_come_from_the_variable_the_file_and_systemd(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# for people\nann:{KEY}\n\n  {KEY}-bare  \n")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "api_keys").write_text(f"unit:{KEY}-unit:with:colons\n")
    found = gate(
        load(API_KEYS=f"a:{KEY}-a, {KEY}-b", API_KEYS_FILE=file, CREDENTIALS_DIRECTORY=credentials)
    )
    assert found.api_keys == {
        "a": ApiKey.of(f"{KEY}-a"),
        "key-2": ApiKey.of(f"{KEY}-b"),
        "ann": ApiKey.of(KEY),
        "key-4": ApiKey.of(f"{KEY}-bare"),
        "unit": ApiKey.of(f"{KEY}-unit:with:colons"),
    }


def test_a_key_may_have_a_role_a_weight_and_a_priority(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(
        f"ann:{KEY}:admin\nbob:{KEY}-b:user:2.5\nroot:admin-{KEY}:superuser\n"
        f"voice:{KEY}-v:user:1:-10\n"
    )
    assert gate(load(API_KEYS_FILE=file)).api_keys == {
        "ann": ApiKey.of(KEY, "admin"),
        "bob": ApiKey.of(f"{KEY}-b", weight=2.5),
        "root": ApiKey.of(f"admin-{KEY}:superuser"),  # which is no role
        "voice": ApiKey.of(f"{KEY}-v", priority=-10),
    }


def test_a_service_without_the_credential_needs_no_key(tmp_path: Path) -> None:
    assert gate(load(CREDENTIALS_DIRECTORY=tmp_path)).api_keys == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"a b:{KEY}", "key 1: a name has letters, digits"),
        (f"ann:{KEY}\nann:{KEY}2", "key 2: the name 'ann' is used twice"),
        (f"ann:{KEY}:user:0", "key 1: a weight of 0 would never be served"),
        (f"ann:{KEY}:user:1:11", "key 1: a priority is -10, which comes first, to 10"),
        ("ann:", "key 1: a key has printable ASCII characters only"),
        (f"ann:{KEY} {KEY}", "key 1: a key has printable ASCII characters only"),
        ("ann:\u00fc" + KEY, "key 1: a key has printable ASCII characters only"),
        ("# none yet\n", "holds no key"),
        (f'ann:"{KEY}"', "key 1: has quotes around it, as part of the key; remove them"),
    ],
)
def test_a_mistake_in_the_file_names_the_place_and_not_the_key(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        gate(load(API_KEYS_FILE=file))
    assert message in str(error.value)
    assert str(error.value).startswith(f"API_KEYS_FILE: {file}")
    assert KEY not in str(error.value)


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"API_KEYS_FILE: .*cannot be read: No such file"):
        gate(load(API_KEYS_FILE=tmp_path / "none"))


def test_no_child_inherits_a_key() -> None:
    os.environ.update(API_KEYS=KEY, EDGE_SERVE_API_KEY=KEY, HF_TOKEN="hf", HOME="/h")
    env = child_env()
    assert KEY not in repr(env)
    assert env["HOME"] == "/h"


def test_settings_do_not_show_keys() -> None:
    assert KEY not in repr(load(API_KEYS=KEY, EDGE_SERVE_API_KEY=KEY))


# --- hosts and origins ---

LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, LOOPBACK),
        ({"HOST": "127.0.0.2"}, [*LOOPBACK, "127.0.0.2"]),
        ({"HOST": "::1"}, LOOPBACK),
        ({"HOST": "0.0.0.0"}, []),
        ({"API_KEYS": KEY}, []),
        ({"TRUSTED_HOSTS": "box.lan,10.0.0.2"}, [*LOOPBACK, "box.lan", "10.0.0.2"]),
        ({"TRUSTED_HOSTS": "box.lan", "API_KEYS": KEY}, [*LOOPBACK, "box.lan"]),
        ({"TRUSTED_HOSTS": "*"}, []),
        ({"TRUSTED_HOSTS": "Box.LAN., .Home"}, [*LOOPBACK, "box.lan", ".home"]),
        ({"TRUSTED_HOSTS": "*.lan,.lan"}, [*LOOPBACK, ".lan"]),
        ({"TRUSTED_HOSTS": "fd00::5,[FD00:0::6]"}, [*LOOPBACK, "[fd00::5]", "[fd00::6]"]),
        (
            {"TRUSTED_HOSTS": "büro.lan,straße.de"},
            [*LOOPBACK, "xn--bro-hoa.lan", "xn--strae-oqa.de"],
        ),
        ({"HOST": "[::1]"}, LOOPBACK),
        ({"HOST": " 127.0.0.2 "}, [*LOOPBACK, "127.0.0.2"]),
    ],
)
def test_trusted_hosts(environment: dict[str, str], expected: list[str]) -> None:
    assert gate(load(**environment)).hosts == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://chat.example", ["https://chat.example"]),
        ("HTTPS://Chat.Example/", ["https://chat.example"]),
        (
            "https://chat.example:443,http://chat.example:80",
            ["https://chat.example", "http://chat.example"],
        ),
        ("http://chat.example:443", ["http://chat.example:443"]),
        ("https://a.example,https://a.example/", ["https://a.example"]),
        ("https://büro.example", ["https://xn--bro-hoa.example"]),
        ("http://[::1]:3000", ["http://[::1]:3000"]),
        ("https://*.Example.com", ["https://*.example.com"]),
        ("http://localhost:*", ["http://localhost:*"]),
        ("chrome-extension://abcdef", ["chrome-extension://abcdef"]),
        ("*", ["*"]),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given: str, expected: list[str]) -> None:
    assert gate(load(CORS_ALLOW_ORIGINS=given)).cors_origins == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_HOSTS", "http://box.lan"),
        ("TRUSTED_HOSTS", "box.lan:8000"),
        ("TRUSTED_HOSTS", "b*x.lan"),
        ("TRUSTED_HOSTS", "*.*.lan"),
        ("TRUSTED_HOSTS", "."),
        ("TRUSTED_HOSTS", "[::g]"),
        ("CORS_ALLOW_ORIGINS", "chat.example"),
        ("CORS_ALLOW_ORIGINS", "*.chat.example"),
        ("CORS_ALLOW_ORIGINS", "https://chat.example/page"),
        ("CORS_ALLOW_ORIGINS", "https://*"),
        ("CORS_ALLOW_ORIGINS", "https://chat*.example"),
        ("CORS_ALLOW_ORIGINS", "https://me@chat.example"),
        ("CORS_ALLOW_ORIGINS", "https://chat.example:https"),
        ("CORS_ALLOW_ORIGINS", "null"),
    ],
)
def test_what_is_no_host_or_origin_is_a_mistake(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: {re.escape(repr(value))} is not"):
        gate(load(**{name: value}))


# --- certificates ---


def test_a_certificate_that_can_be_used_is_taken_over(certificate: tuple[Path, Path]) -> None:
    made, key = certificate
    found = gate(load(SSL_CERTFILE=made, SSL_KEYFILE=key))
    assert (found.ssl_certfile, found.ssl_keyfile) == (str(made), str(key))


def test_one_that_cannot_is_a_mistake(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    made, key = certificate
    cases: list[tuple[dict[str, object], str]] = [
        ({"SSL_CERTFILE": tmp_path / "none"}, "SSL_CERTFILE: .*none cannot be read: No such file"),
        ({"SSL_CERTFILE": made, "SSL_KEYFILE": tmp_path / "none"}, "SSL_KEYFILE: .*cannot be read"),
        ({"SSL_CERTFILE": made, "SSL_KEYFILE": made}, "SSL_CERTFILE: .*cannot be used"),
        ({"SSL_CERTFILE": "", "SSL_KEYFILE": key}, "SSL_CERTFILE: is missing"),
    ]
    for environment, message in cases:
        with pytest.raises(ConfigError, match=message):
            gate(load(**environment))


# --- warnings ---


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, []),
        ({"HOST": "0.0.0.0"}, ["WITHOUT AUTHENTICATION"]),
        ({"HOST": "0.0.0.0", "API_KEYS": KEY}, ["without TLS"]),
        ({"HOST": "::", "PORT": "9000"}, ["listening on [::]:9000 WITHOUT AUTHENTICATION"]),
        ({"API_KEYS": ""}, ["API_KEYS is set, but to nothing"]),
        ({"API_KEYS": "weak:abc"}, ["can be guessed (weak)"]),
        ({"CORS_ALLOW_ORIGINS": "*"}, ["every web page may use this server"]),
    ],
)
def test_warnings(environment: dict[str, str], said: list[str]) -> None:
    found = gates.warnings(load(**environment))
    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True))
    assert all("API_KEYS_FILE" in line for line in found if "WITHOUT AUTHENTICATION" in line)


@pytest.mark.parametrize(
    "end", ["root", "user:nan", "user:-1", "user:1e308", "user:inf", "x:admin"]
)
def test_what_is_no_role_is_said_to_be_a_part_of_the_secret(tmp_path: Path, end: str) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# for people\nann:{KEY}:{end}\nbob:{KEY}-b:admin:2:-3\n")
    file.chmod(0o600)
    (line,) = gates.warnings(load(API_KEYS_FILE=file))
    assert line.startswith(f"API_KEYS_FILE: {file}, key 2: what stands behind its last colon")
    assert KEY not in line


@pytest.mark.parametrize("end", ["\x1c", "\x0b", "\x85", "\u2028", "\r"])
def test_a_line_of_the_file_ends_with_a_line_feed_alone(tmp_path: Path, end: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(f"ann:{KEY} models=x{end}ghost:{KEY}-ghost:admin\n".encode())
    with pytest.raises(ConfigError, match="key 1: a key has printable ASCII characters only"):
        gate(load(API_KEYS_FILE=file))


def test_a_key_file_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY)
    file.chmod(0o644)
    (line,) = gates.warnings(load(API_KEYS_FILE=file))
    assert f"chmod 600 {file}" in line
    file.chmod(0o600)
    assert gates.warnings(load(API_KEYS_FILE=file)) == []
