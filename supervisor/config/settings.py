"""The settings of a box, from flags, the environment and ``.env``, in that order of precedence.

What one model needs differently stands in its YAML entry (`catalog`), and wins over the environment
for that model; `config` puts the two together. Each setting is named by its variable.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ipc.loopback import is_loopback
from ipc.messages.control import KeepPrefixes
from ipc.messages.spec import LoadWhen
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
    OptionalPort,
    Port,
    Seconds,
    SecondsOrZero,
    Text,
    lower,
)

# No WAV file is larger; a longer recording is one in another format.
MAX_RECORDING_BYTES = (4 << 30) - 1
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
    """Every setting has an effect, and a description that says on what; `dotenv_example` writes
    them to .env.example, in this order."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    # What to run, and where its files are.
    models: Names = Field(
        default=[], description="by name in the catalog; not set: those it serves"
    )
    model_device: Device = Field(default="auto", description="auto, cpu, mps, cuda, cuda:<n>")
    model_load: Annotated[LoadWhen, BeforeValidator(lower)] = Field(
        default="always",
        description="or on_demand: a model is loaded when somebody asks for it; or never: only an "
        "operator loads it",
    )
    model_idle_unload_sec: SecondsOrZero = Field(
        default=900.0,
        description="how long one that was loaded on demand stays without work; 0: for ever",
    )
    model_preload: bool = Field(
        default=True,
        description="0: models that were in memory when the server last stopped wait to be asked "
        "for; else they are loaded again where there is room",
    )
    keep_alive_max_sec: Seconds = Field(
        default=86400.0,
        description="the most that a client without an admin's key may ask a model to be kept "
        "without work, as with Ollama's keep_alive",
    )
    memory_budget_mb: Megabytes = Field(
        default=0,
        description="for all models together, as they were measured; 0: what the system has. A "
        "model that was loaded on demand makes room for another",
    )
    auto_download_models: bool = Field(
        default=True, description="0: serve only what `edge-serve pull` has fetched"
    )
    measure_engines: bool = Field(
        default=True,
        description="0: `pull` does not measure which engine is the fastest with a GGUF model on "
        "this CPU, and the rule of docs/models.md holds",
    )
    hf_token: str | None = Field(
        default=None, repr=False, description="for gated hub models; used by pulls only"
    )
    edge_serve_config: Folder | None = Field(
        default=None, description="a catalog of your own, see configs/model_config.yaml"
    )
    edge_serve_models_dir: Folder = Field(
        default_factory=_models_dir, description="where pulled files are kept"
    )
    edge_serve_watch: bool = Field(
        default=False,
        description="1: `edge-serve reload` by itself when the catalog, .env or the file of keys "
        "has changed; a wrong file changes nothing",
    )
    update_watch_sec: SecondsOrZero = Field(
        default=60.0,
        description="how long the workers from before an update are kept, to go back to if the "
        "new ones do worse; 0: not at all",
    )
    edge_serve_run_dir: Folder | None = Field(
        default=None,
        description="private folder for sockets, with a short name; not set: one for each port, so "
        "that two servers need only two ports",
    )
    edge_serve_state_dir: Folder | None = Field(
        default=None,
        description="private folder for what this box has measured, for files and batches; not "
        "set: edge-serve in XDG_STATE_HOME, or in ~/.local/state",
    )

    # Where to listen and what to say.
    host: Annotated[Text, AfterValidator(address.bare)] = Field(
        default="127.0.0.1",
        description="anything wider: set API_KEYS_FILE; 0.0.0.0 is all of IPv4, :: all of IPv6 and "
        "IPv4",
    )
    port: Port = Field(default=8000, description="0: any free one")
    ollama_api: bool = Field(
        default=False,
        description="1: Ollama's API too, for programs that speak no other",
    )
    ollama_port: OptionalPort = Field(
        default=None, description="a second port, which has it whatever PORT has, say 11434"
    )
    wyoming_port: OptionalPort = Field(
        default=None,
        description="the Wyoming protocol, by which Home Assistant hears, speaks and chats, on a "
        "port of its own, say 10300; it has no key",
    )
    wyoming_host: Annotated[Text, AfterValidator(address.bare)] = Field(
        default="127.0.0.1",
        description="where that listens, whatever HOST is: wider means that whoever reaches the "
        "port may use the models",
    )
    wyoming_announce: bool = Field(
        default=False,
        description="1: Home Assistant finds it by itself (mDNS), once requirements-zeroconf.txt "
        "is installed",
    )
    log_format: Annotated[Format, BeforeValidator(lower)] = Field(
        default="text", description="or json"
    )
    log_level: Annotated[Level, BeforeValidator(lower)] = Field(
        default="info",
        description="debug, info, warning, error; not set: on a terminal a few lines in place of "
        "the log",
    )
    enable_metrics: bool = Field(default=True, description="0: no GET /metrics")
    metrics_compat: Annotated[Literal["vllm", "none"], BeforeValidator(lower)] = Field(
        default="vllm",
        description="those of chat models also under vLLM's names, which boards and gateways read; "
        "or none",
    )
    drain_timeout_sec: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False), Number] = Field(
        default=30.0, description="for answers in progress when stopped"
    )

    # Who may come in; see `supervisor.config.access`.
    api_keys_file: Folder | None = Field(
        default=None,
        description="a key on each line, as name:key, name:key:admin where it may also manage the "
        "server, name:key:user:2 where it counts twice among others that wait, name:key:user:1:-10 "
        "where its requests come first (10: last); behind it what it may have, as "
        "requests_per_min=60 tokens_per_day=100000 models=a,b (docs/keys.md); not set: all may "
        "come in",
    )
    api_keys: Names = Field(
        default=[],
        repr=False,
        description="the same, separated by commas; a file is the safer place",
    )
    edge_serve_api_key: str | None = Field(
        default=None,
        repr=False,
        description="the one that `edge-serve status`, `smoke` and `bench` send",
    )
    trusted_hosts: Names = Field(
        default=[],
        description="names it is called by; not set: any, and localhost alone where HOST is this "
        "machine and no key is needed; .lan is every name under lan",
    )
    cors_allow_origins: Names = Field(
        default=[],
        description="web pages that may use it, say https://chat.example, https://*.example.com, "
        "http://localhost:*; or *",
    )
    ssl_certfile: Folder | None = Field(
        default=None,
        description="PEM, with its chain; then it speaks https only, and `status`, `smoke` and "
        "`bench` trust this certificate",
    )
    ssl_keyfile: Folder | None = Field(default=None, description="PEM, the key of that certificate")
    max_connections: Count = Field(default=4096, description="more get 503, once none is idle")
    frontend_memory_mb: Megabytes = Field(
        default=0,
        description="for bodies, jobs and unread answers of all clients; more get 503. "
        "0: an eighth of the memory, at most 2048",
    )

    # What one request may bring.
    max_batch_size: Count = Field(default=2048, description="texts to embed, documents to rerank")
    max_text_chars: Count = Field(default=200_000, description="characters of one text")
    max_audio_bytes: Annotated[int, Field(ge=1, le=MAX_RECORDING_BYTES), Number] = Field(
        default=64 << 20,
        description="bytes of one recording; a server elsewhere is sent no more than the default",
    )
    max_new_tokens: Count = Field(
        default=512,
        description="of an answer whose request names no max_tokens; left out: models that reason "
        "may write CHAT_MAX_NEW_TOKENS",
    )

    # Files and batches, which are kept in the state folder.
    batch_storage_mb: Annotated[int, Field(ge=1), Number] = Field(
        default=2048, description="megabytes of all files of requests and results together"
    )
    max_batch_file_bytes: Count = Field(default=100 << 20, description="bytes of one file")
    max_batch_lines: Count = Field(default=50_000, description="requests of one file")
    max_batches: Count = Field(
        default=32, description="that have not ended; more get 429. Four of them run at once"
    )
    batch_lines_at_once: Count = Field(
        default=32, description="requests of one batch in hand; at least the slots of its model"
    )

    # What the server has done, without what was asked and answered; in the state folder too.
    history_days: Annotated[float, Field(ge=0, le=3650, allow_inf_nan=False), Number] = Field(
        default=7.0, description="for which requests, events and samples are kept"
    )
    history_mb: Annotated[int, Field(ge=0, le=1 << 20), Number] = Field(
        default=64, description="of all that is kept, at most; 0: nothing, no usage of keys either"
    )
    incidents_mb: Annotated[int, Field(ge=0, le=1 << 20), Number] = Field(
        default=32, description="of the files of crashes, hangs and overloads; 0: none is kept"
    )

    # Traces; the other variables of OpenTelemetry are its own, see docs/observe.md.
    otel_trust_parent: bool = Field(
        default=False, description="1: a request's trace is part of that of its caller"
    )

    # Images that requests name by their address.
    allow_remote_images: bool = Field(
        default=False, description="0: images come as data URLs only; nothing is fetched"
    )
    remote_image_host_allowlist: Annotated[Names, AfterValidator(_host_names)] = Field(
        default=[], description="hosts to fetch from, their subdomains included"
    )
    remote_image_timeout: Seconds = Field(default=5.0, description="seconds for one image")
    max_remote_image_bytes: Count = Field(default=5 << 20, description="bytes of one image")

    # What a model must have answered before it counts as ready.
    enable_warmup: bool = Field(
        default=True, description="0: a model is ready as soon as it is loaded"
    )
    warmup_steps: Count = Field(default=1, description="rounds")
    warmup_batch_size: Count = Field(
        default=1, description="requests at once in a round, as far as the model has slots"
    )
    warmup_vram_budget_mb: Megabytes = Field(
        default=0, description="on CUDA no more at once than fit this; 0: what is free"
    )
    warmup_vram_per_worker_mb: Megabytes = Field(
        default=0, description="at so much for each; 0: no such bound"
    )
    warmup_allowlist: Names = Field(default=[], description="models to warm up; all if not set")
    warmup_skiplist: Names = Field(default=[], description="models not to warm up")
    warmup_fail_fast: bool = Field(
        default=False, description="1: a model that cannot start ends the server (status 1)"
    )

    # Waiting requests for each model; how these four go together says `spec`. That a client's
    # ordinary burst passes is what they are measured by: docs/limits.md.
    max_queue_size: Count = Field(
        default=128, description="once it is set, of the next two as well"
    )
    chat_batch_queue_size: Count = Field(default=256, description="of chat models")
    embedding_batch_queue_size: Count = Field(
        default=1024, description="of all models of texts, rerankers too"
    )
    audio_max_queue_size: OptionalCount = Field(
        default=None, description="MAX_QUEUE_SIZE if not set"
    )
    audio_queue_timeout_sec: Seconds = Field(
        default=300.0, description="how long a clip, or a text to speak, waits before work begins"
    )

    # Work in one worker.
    max_concurrent: OptionalCount = Field(
        default=None, description="caps the requests at once of each model, batched or not"
    )
    enable_chat_batching: bool = Field(default=True, description="0: one answer at a time")
    chat_batch_max_size: Count = Field(default=8, description="answers written at once")
    chat_batch_allow_vision: bool = Field(
        default=False, description="1: also by models that take images; 0: one at a time"
    )
    chat_max_prompt_tokens: CountOrZero = Field(
        default=0, description="tokens of a prompt; 0: as many as the model reads"
    )
    chat_max_new_tokens: Count = Field(default=2048, description="tokens of an answer")
    keep_prefixes: Annotated[KeepPrefixes, BeforeValidator(lower)] = Field(
        default="memory",
        description="how prompts begin that come again and again is remembered, to be read again "
        "in idle time after a load: until the server ends; disk: in the state folder, too, where "
        "its owner can read it; off",
    )
    enable_embedding_batching: bool = Field(default=True, description="0: one request at a time")
    embedding_batch_window_ms: Milliseconds = Field(
        default=6.0, description="how long a batch waits to fill; 0: not at all"
    )
    embedding_batch_window_max_size: Count = Field(default=16, description="requests that fill it")
    embedding_generate_timeout_sec: Seconds = Field(
        default=60.0, description="these three are for all models of texts"
    )
    embedding_cache_size: CountOrZero = Field(
        default=256, description="texts whose vectors a worker keeps; 0: none"
    )
    embedding_usage_disable_token_count: bool = Field(
        default=False, description="1: answers say 0 tokens; counting costs nothing here"
    )
    audio_max_concurrent: Count = Field(
        default=1, description="clips that a model works on at once"
    )
    audio_process_timeout_sec: Seconds = Field(
        default=14_400.0, description="how long the work may take, also of speaking"
    )
    speak_max_concurrent: Count = Field(
        default=8, description="texts that a model speaks at once, sentence by sentence"
    )

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
        found = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        flag = next((flag for flag in vars(flags) if _SETTING_OF[flag] == name), None)
        shown = f"--{flag}" if flag and name in given else name.upper()
        raise ConfigError(f"{shown}: {explain(first, Settings.model_fields[name])}") from None
    _check_ports(found)
    return found


def _check_ports(found: Settings) -> None:
    if found.ollama_port and found.ollama_port == found.port:
        instead = "choose another, or set OLLAMA_API=1 in its place to have it on PORT"
        raise ConfigError(f"OLLAMA_PORT: {found.port} is PORT too; {instead}")
    for name, port in (("PORT", found.port), ("OLLAMA_PORT", found.ollama_port)):
        if found.wyoming_port and found.wyoming_port == port:
            raise ConfigError(f"WYOMING_PORT: {port} is {name} too; choose another, say 10300")
    if found.wyoming_announce and found.wyoming_port is None:
        raise ConfigError("WYOMING_ANNOUNCE: nothing is to be announced; set WYOMING_PORT too")
    if found.wyoming_announce and is_loopback(found.wyoming_host):
        raise ConfigError(
            f"WYOMING_ANNOUNCE: nobody else reaches {found.wyoming_host}; set WYOMING_HOST to this "
            "machine's address in your network, or to 0.0.0.0"
        )


def _values(flags: Flags) -> dict[str, str]:
    """What was given as text, by the name that it was given under."""
    names = (name.upper() for name in Settings.model_fields)
    found = {name: os.environ[name] for name in names if name in os.environ}
    return found | {f"--{flag}": value for flag, value in vars(flags).items() if value is not None}
