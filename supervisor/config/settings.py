"""The settings of a box, from flags, the environment and ``.env``, in that order of precedence.

What one model needs differently stands in its YAML entry (`catalog`), and wins over the environment
for that model; `config` puts the two together. Each setting is named by its variable.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ipc.runtime.log import Format, Level
from supervisor.config import address, variables
from supervisor.config.compat_settings import REPLACED
from supervisor.config.errors import ConfigError, explain
from supervisor.config.values import (
    Count,
    CountOrZero,
    Device,
    Folder,
    Megabytes,
    Milliseconds,
    Names,
    Number,
    OptionalCount,
    Seconds,
    Text,
    lower,
)

ROOT = Path(__file__).resolve().parents[2]
DOTENV = ".env"
SECRETS = frozenset({"HF_TOKEN", "API_KEYS", "EDGE_SERVE_API_KEY"})


def child_env(**changes: str) -> dict[str, str]:
    """The environment for a child that imports our packages, wherever it is started; without what
    only this process may see."""
    env = {name: value for name, value in os.environ.items() if name not in SECRETS}
    own = [part for part in env.get("PYTHONPATH", "").split(os.pathsep) if part]
    env["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(ROOT), *own]))
    return env | changes


def _models_dir() -> Path:
    """Beside the code in a checkout; in the user's data folder when installed from a wheel."""
    if (ROOT / "pyproject.toml").exists():
        return ROOT / "models"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "edge-serve" / "models"


def _host_names(names: list[str]) -> list[str]:
    """Lower case, and each a plain name: not an address, a URL or a pattern."""
    for name in names:
        if not re.fullmatch(r"([a-z0-9-]+\.)+[a-z][a-z0-9-]*", name, re.ASCII | re.IGNORECASE):
            raise ValueError(f"{name!r} is not a host; set it to names like images.example.com")
    return [name.lower() for name in names]


class Settings(BaseSettings):
    """Every setting has an effect; the comment says on what."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    # What to run, and where its files are.
    models: Names = []
    model_device: Device = "auto"
    auto_download_models: bool = True
    hf_token: str | None = Field(default=None, repr=False)  # only sent when pulling
    edge_serve_config: Folder | None = None
    edge_serve_models_dir: Folder = Field(default_factory=_models_dir)
    edge_serve_run_dir: Folder | None = None

    # Where to listen and what to say. Port 0 takes any free one.
    host: Annotated[Text, AfterValidator(address.bare)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535), Number] = 8000
    log_format: Annotated[Format, BeforeValidator(lower)] = "text"
    log_level: Annotated[Level, BeforeValidator(lower)] = "info"
    enable_metrics: bool = True
    drain_timeout_sec: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False), Number] = 30.0

    # Who may come in; see `supervisor.config.access`.
    api_keys: Names = Field(default=[], repr=False)
    api_keys_file: Folder | None = None
    trusted_hosts: Names = []
    cors_allow_origins: Names = []
    ssl_certfile: Folder | None = None
    ssl_keyfile: Folder | None = None
    max_connections: Count = 4096
    edge_serve_api_key: str | None = Field(default=None, repr=False)  # sent by `status`

    # Memory for what all clients send and have not read yet; 0: an eighth of what there is.
    frontend_memory_mb: Megabytes = 0

    # What one request may bring.
    max_batch_size: Count = 2048
    max_text_chars: Count = 200_000
    max_audio_bytes: Count = 25 << 20
    max_new_tokens: Count = 512  # of an answer whose request names no max_tokens

    # Images that requests name by their address.
    allow_remote_images: bool = False
    remote_image_host_allowlist: Annotated[Names, AfterValidator(_host_names)] = []
    remote_image_timeout: Seconds = 5.0
    max_remote_image_bytes: Count = 5 << 20

    # What a model must have answered before it counts as ready.
    enable_warmup: bool = True
    warmup_steps: Count = 1
    warmup_batch_size: Count = 1
    warmup_vram_budget_mb: Megabytes = 0
    warmup_vram_per_worker_mb: Megabytes = 0
    warmup_allowlist: Names = []
    warmup_skiplist: Names = []
    warmup_fail_fast: bool = False

    # Waiting requests for each model; how these four go together says `config`. That a client's
    # ordinary burst passes is what they are measured by: docs/limits.md.
    max_queue_size: Count = 128
    chat_batch_queue_size: Count = 256
    embedding_batch_queue_size: Count = 1024  # of rerankers, too
    audio_max_queue_size: OptionalCount = None
    audio_queue_timeout_sec: Seconds = 300.0

    # Work in one worker.
    max_concurrent: OptionalCount = None
    enable_chat_batching: bool = True
    chat_batch_max_size: Count = 8
    chat_batch_allow_vision: bool = False
    chat_max_prompt_tokens: Count = 4096
    chat_max_new_tokens: Count = 2048
    enable_embedding_batching: bool = True
    embedding_batch_window_ms: Milliseconds = 6.0
    embedding_batch_window_max_size: Count = 16
    embedding_generate_timeout_sec: Seconds = 60.0
    embedding_cache_size: CountOrZero = 256  # texts; 0: compute each anew
    embedding_usage_disable_token_count: bool = False  # answers then say 0 tokens
    audio_max_concurrent: Count = 1
    audio_process_timeout_sec: Seconds = 600.0

    @property
    def url(self) -> str:
        """Where a program on this machine finds the server that these settings make."""
        return address.url(self.host, self.port, tls=self.ssl_certfile is not None)


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What the command line gave, as text; None where it said nothing."""

    models: str | None = None
    device: str | None = None
    host: str | None = None
    port: str | None = None
    config: str | None = None

    def over(self, other: Flags) -> Flags:
        """These flags, and ``other`` where these say nothing."""
        return Flags(**{**vars(other), **self._given()})

    def variables(self) -> dict[str, str]:
        """The same as an environment, for a program that has no such flags."""
        return {_SETTING_OF[name].upper(): value for name, value in self._given().items()}

    def _given(self) -> dict[str, str]:
        return {name: value for name, value in vars(self).items() if value is not None}


# Every variable that is ours, and those that are when they hold what is not to be shown.
KNOWN = frozenset({*(name.upper() for name in Settings.model_fields), *REPLACED})
_SECRET_SETTINGS = frozenset(
    name.upper() for name, field in Settings.model_fields.items() if not field.repr
)
_SETTING_OF = {
    "models": "models",
    "device": "model_device",
    "host": "host",
    "port": "port",
    "config": "edge_serve_config",
}


def load(flags: Flags) -> Settings:
    """The settings in force. Raises `ConfigError` for the first one that cannot be used."""
    variables.check_names(os.environ, KNOWN)
    variables.check_values(_values(flags), _SECRET_SETTINGS)
    given = {_SETTING_OF[name]: value for name, value in vars(flags).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        flag = next((flag for flag in vars(flags) if _SETTING_OF[flag] == name), None)
        shown = f"--{flag}" if flag and name in given else name.upper()
        raise ConfigError(f"{shown}: {explain(first, Settings.model_fields[name])}") from None


def _values(flags: Flags) -> dict[str, str]:
    """What was given as text, by the name that it was given under."""
    names = (name.upper() for name in Settings.model_fields)
    found = {name: os.environ[name] for name in names if name in os.environ}
    return found | {f"--{flag}": value for flag, value in vars(flags).items() if value is not None}
