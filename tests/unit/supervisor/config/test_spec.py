"""From flags, environment, .env and YAML to specs: literal tables of what goes in and comes out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from ipc.facts.gguf import Header
from ipc.messages.spec import Scaling
from ipc.tasks import TASKS
from supervisor.config import catalog, dotenv_example, settings
from supervisor.config.dotenv_file import load_dotenv
from supervisor.config.engines import choose, openvino_reads
from supervisor.config.entries.entry import Entry, inner_path
from supervisor.config.entries.source import HubRepo, LocalPath, Packages
from supervisor.config.errors import ConfigError, nearest
from supervisor.config.settings import Flags, Settings
from supervisor.config.spec import Files, spec_for
from supervisor.host.hardware import Box, count_threads

ROOT = Path(__file__).parents[4]
ALL_MINILM = "sentence-transformers/all-MiniLM-L6-v2"
NAMES = [name.upper() for name in Settings.model_fields]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine that runs the tests takes part in them."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in NAMES:
        os.environ.pop(name, None)


def entry(**keys: Any) -> Entry:
    return Entry.model_validate({"name": "acme/one", "task": "chat", **keys})


# --- settings ------------------------------------------------------------------------------------


def test_two_listeners_need_two_ports() -> None:
    os.environ.update(PORT="11434", OLLAMA_PORT="11434")
    with pytest.raises(ConfigError, match=r"^OLLAMA_PORT: 11434 is PORT too; choose another, or "):
        settings.load(Flags())
    os.environ.update(PORT="0", OLLAMA_PORT="0", WYOMING_PORT="0")
    assert settings.load(Flags()).ollama_port == 0
    os.environ.update(OLLAMA_PORT="7", WYOMING_PORT="7")
    with pytest.raises(ConfigError, match=r"^WYOMING_PORT: 7 is OLLAMA_PORT too; choose another"):
        settings.load(Flags())


@pytest.mark.parametrize(
    ("host", "port", "told"),
    [
        ("0.0.0.0", "", "nothing is to be announced; set WYOMING_PORT too"),
        ("127.0.0.1", "10300", "nobody else reaches 127.0.0.1; set WYOMING_HOST"),
        ("::1", "10300", "nobody else reaches ::1; set WYOMING_HOST"),
    ],
)
def test_what_nobody_could_use_is_not_announced(host: str, port: str, told: str) -> None:
    os.environ.update(WYOMING_ANNOUNCE="1", WYOMING_HOST=host, WYOMING_PORT=port)
    with pytest.raises(ConfigError, match=f"^WYOMING_ANNOUNCE: {told}"):
        settings.load(Flags())
    os.environ.update(WYOMING_HOST="0.0.0.0", WYOMING_PORT="10300")
    assert settings.load(Flags()).wyoming_announce


def test_without_any_setting_the_defaults_are_those_of_the_example_file() -> None:
    found = settings.load(Flags())
    lines = (ROOT / ".env.example").read_text().splitlines()
    values = [line[2:].split("#")[0].strip() for line in lines if re.match("# [A-Z]", line)]
    shown = dict(value.split("=", 1) for value in values if "=" in value)
    named = catalog.load(None).serve
    special = {"MODELS": ",".join(named), "EDGE_SERVE_MODELS_DIR": "models"}

    assert sorted(shown) == sorted(NAMES)
    for name, text in shown.items():
        value = getattr(found, name.lower())
        if name in special:
            assert text == special[name]
        elif isinstance(value, bool):
            assert text == str(int(value)), name
        elif isinstance(value, float):
            assert float(text) == value, name
        else:
            assert text == ("" if value in (None, []) else str(value)), name


def test_the_example_file_is_what_the_settings_say() -> None:
    written = "to write it: python -m supervisor.config.dotenv_example"
    assert dotenv_example.PATH.read_text() == dotenv_example.render(), written


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_description(name: str) -> None:
    assert Settings.model_fields[name.lower()].description


MISTAKES = [
    ("CHAT_BATCH_MAX_SIZE", "abc", "'abc' is not a whole number; set it to 1 or more"),
    ("CHAT_BATCH_MAX_SIZE", "0", "'0' is too low; set it to 1 or more"),
    ("CHAT_BATCH_QUEUE_SIZE", "-1", "'-1' is too low; set it to 1 or more"),
    ("PORT", "99999", "'99999' is too high; set it to 0, up to 65535"),
    ("PORT", "80.5", "'80.5' is not a whole number; set it to 0, up to 65535"),
    ("ENABLE_METRICS", "maybe", "'maybe' is neither true nor false; set it to 1 or 0"),
    ("LOG_FORMAT", "xml", "'xml' is not one of 'text', 'json'"),
    ("MODEL_DEVICE", "gpu", "'gpu' is not a device; set it to auto, cpu, mps, cuda or cuda:<n>"),
    ("AUDIO_PROCESS_TIMEOUT_SEC", "0", "'0' is too low; set it to more than 0, up to 604800"),
    ("AUDIO_PROCESS_TIMEOUT_SEC", "30s", "'30s' is not a number; set it to more than 0, up to"),
    ("MAX_AUDIO_BYTES", "2GB", "'2GB' is not a whole number; set it to 1, up to 4294967295"),
    ("MAX_AUDIO_BYTES", "4294967296", "'4294967296' is too high; set it to 1, up to 4294967295"),
    ("MAX_AUDIO_BYTES", "1_000", "'1_000' is not a plain number; write it as 1000"),
    ("PORT", "010", "'010' is not a plain number; write it as 10"),
    ("PORT", '"8000"', "its value has quotes around it, as part of it; remove them"),
    ("EDGE_SERVE_MODELS_DIR", "'/srv/m'", "its value has quotes around it"),
    ("EDGE_SERVE_MODELS_DIR", "${HOME}/m", "${HOME} is not expanded here; write what it stands"),
    ("EDGE_SERVE_MODELS_DIR", "$HOME/m", "$HOME is not expanded here; write what it stands for"),
    ("EDGE_SERVE_MODELS_DIR", "~no_such_user/m", "~no_such_user/m: there is no such user; write"),
    ("MODELS", " , ", "has commas or spaces only; write a name, or leave it out"),
    ("API_KEYS", ",", "has commas or spaces only; write a name, or leave it out"),
    ("HOST", "  ", "'' is empty; write something, or leave it out"),
    ("HOST", "[::zz]", "'[::zz]' is not an IPv6 address; write one such as ::1"),
    ("AUDIO_PROCESS_TIMEOUT_SEC", "inf", "'inf' is not a number; set it to more than 0, up to"),
]


@pytest.mark.parametrize(("name", "value", "message"), MISTAKES)
def test_a_setting_that_cannot_be_used_is_named_with_the_way_out(
    name: str, value: str, message: str
) -> None:
    os.environ[name] = value
    with pytest.raises(ConfigError) as raised:
        settings.load(Flags())
    assert str(raised.value).startswith(f"{name}: {message}")
    assert "\n" not in str(raised.value)


def test_a_wrong_flag_is_named_as_it_was_written() -> None:
    with pytest.raises(ConfigError, match=r"^--port: 'x' is not a whole number"):
        settings.load(Flags(port="x"))


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    os.environ["PORT"] = ""
    assert settings.load(Flags()).port == 8000


def test_a_flag_wins_over_the_environment() -> None:
    os.environ.update(PORT="9000", HOST="::1")
    found = settings.load(Flags(port="7000"))
    assert (found.port, found.host) == (7000, "::1")


def test_dotenv_adds_to_the_environment_and_never_overrides_it(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=9000\nHOST=::1\nOMP_NUM_THREADS_FOR_TEST=3\n")
    os.environ["PORT"] = "7000"
    assert load_dotenv(file) == []
    found = settings.load(Flags())
    assert (found.port, found.host) == (7000, "::1")
    assert os.environ["OMP_NUM_THREADS_FOR_TEST"] == "3"


def test_a_name_in_dotenv_that_looks_misspelt_is_warned_about(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("MODEL_DEVIZES=cpu\nMODEL=a\nUNRELATED_TO_US=1\n")
    assert load_dotenv(file) == [
        f"{file}: MODEL_DEVIZES is not a setting; did you mean MODEL_DEVICE?",
        f"{file}: MODEL is not a setting; did you mean MODELS?",
    ]


SLIPS = [
    ("API_KEY_FILE", "API_KEYS_FILE"),
    ("API_KEY", "API_KEYS"),
    ("APIKEYS", "API_KEYS"),
    ("API_KEYFILE", "API_KEYS_FILE"),
    ("api_key_file", "API_KEYS_FILE"),
    ("TRUSTED_HOST", "TRUSTED_HOSTS"),
    ("CORS_ALLOWED_ORIGINS", None),  # two letters: it may be another program's
    ("CORS_ALOW_ORIGINS", "CORS_ALLOW_ORIGINS"),
    ("SSL_KEY_FILE", "SSL_KEYFILE"),
    ("SSL_CERT_FILE", None),  # OpenSSL's
    ("MAX_QUEUE_SIEZ", "MAX_QUEUE_SIZE"),
    ("EDGE_SERVE_HOST", "HOST"),
    ("EDGE_SERVE_MODEL_DIR", "EDGE_SERVE_MODELS_DIR"),
    ("EDGE_SERVE_TEST_DATA", None),
    *((name, None) for name in ("HOSTNAME", "HOSTS", "PORTS", "POST", "MODEL", "LOGLEVEL", "PATH")),
]


@pytest.mark.parametrize(("name", "setting"), SLIPS)
def test_a_variable_a_letter_from_a_setting_is_refused_wherever_it_is_set(
    name: str, setting: str | None, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"# ours\n{name}=secret-1\n")
    os.environ[name] = "secret-1"
    if setting is None:
        settings.load(Flags())
        load_dotenv(file)
        return
    wanted = f"{name} is not a setting; did you mean {setting}?"
    with pytest.raises(ConfigError) as raised:
        settings.load(Flags())
    assert str(raised.value).startswith(wanted)
    del os.environ[name]
    with pytest.raises(ConfigError) as raised:
        load_dotenv(file)
    assert str(raised.value).startswith(f"{file}, line 2: {wanted}")
    assert "secret-1" not in str(raised.value)


def test_whoever_sets_the_right_name_too_may_have_the_other_one() -> None:
    os.environ.update(API_KEY="another program's", API_KEYS_FILE="")
    settings.load(Flags())


def test_a_service_of_kubernetes_called_edge_serve_is_no_slip() -> None:
    os.environ.update(EDGE_SERVE_PORT="tcp://10.0.0.1:8000", EDGE_SERVE_SERVICE_HOST="10.0.0.1")
    assert settings.load(Flags()).port == 8000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ROOT=/srv\nEDGE_SERVE_MODELS_DIR=${ROOT}/models", "/srv/models"),
        ("EDGE_SERVE_MODELS_DIR=${OUTSIDE}/models", "/outside/models"),
        ("OUTSIDE=/inside\nEDGE_SERVE_MODELS_DIR=${OUTSIDE}/models", "/outside/models"),
        ("EDGE_SERVE_MODELS_DIR=${NONE_SET:-/opt}/models", "/opt/models"),
        ('EDGE_SERVE_MODELS_DIR="${OUTSIDE}/my models"', "/outside/my models"),
        ("EDGE_SERVE_MODELS_DIR='${OUTSIDE}/models'", "${OUTSIDE}/models"),
        ("\ufeffEDGE_SERVE_MODELS_DIR=/a\r", "/a"),
    ],
)
def test_dotenv_expands_what_stands_in_braces(text: str, found: str, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(text + "\n")
    os.environ["OUTSIDE"] = "/outside"
    assert load_dotenv(file) == []
    assert os.environ["EDGE_SERVE_MODELS_DIR"] == found


def test_what_is_not_set_cannot_be_expanded_in_a_setting(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("OTHER=${NONE_SET}\n")
    assert load_dotenv(file) == []
    file.write_text("\nEDGE_SERVE_MODELS_DIR=${NONE_SET}/models\n")
    with pytest.raises(ConfigError, match=r"line 2: EDGE_SERVE_MODELS_DIR names \$\{NONE_SET\}"):
        load_dotenv(file)


def test_a_setting_that_stands_twice_in_dotenv_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("OTHER=1\nOTHER=2\nPORT=1\n\nPORT=2\n")
    with pytest.raises(ConfigError, match="line 5: PORT stands in line 3 too; remove one"):
        load_dotenv(file)


def test_a_key_may_have_any_character_that_others_expand() -> None:
    os.environ["API_KEYS"] = "ann:$ecret$HOME${HOME}"
    assert settings.load(Flags()).api_keys == ["ann:$ecret$HOME${HOME}"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("PORT", "PORT has no value; write PORT=value"),
        ("export PORT", "PORT has no value; write PORT=value"),
        ("PORT: sk-1", "a colon sets nothing; write PORT=value"),
        ('HOST="sk-1', 'the value of HOST has no quote (") at its end; add it there'),
        ("HF TOKEN=sk-1", "is not understood; write NAME=value, and # before what is a comment"),
        ("= sk-1", "is not understood; write NAME=value"),
    ],
)
def test_a_line_of_dotenv_that_sets_nothing_is_named_with_what_to_write(
    line: str, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"# first\n\n{line}\nLOG_LEVEL=debug\n")
    with pytest.raises(ConfigError) as raised:
        load_dotenv(file)
    assert str(raised.value).startswith(f"{file}, line 3: {message}")
    assert "sk-1" not in str(raised.value) + caplog.text
    assert "LOG_LEVEL" not in os.environ


def test_dotenv_may_have_quotes_spaces_comments_and_export(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# a\n\nexport PORT = 9000 # b\nMODELS='a # b'\nHOST=\"first\nsecond\"\n")
    assert load_dotenv(file) == []
    found = {name: os.environ[name] for name in ("PORT", "MODELS", "HOST")}
    assert found == {"PORT": "9000", "MODELS": "a # b", "HOST": "first\nsecond"}


def test_a_token_is_not_shown_when_settings_are_printed() -> None:
    os.environ["HF_TOKEN"] = "hf_secret"
    found = settings.load(Flags())
    assert found.hf_token == "hf_secret"
    assert "hf_secret" not in repr(found)
    assert "HF_TOKEN" not in settings.child_env()


# --- from settings and entry to spec -------------------------------------------------------------

# task, environment, entry keys, forced device -> the part of the spec that they decide
PRECEDENCE: list[tuple[str, dict[str, str], dict[str, Any], str | None, dict[str, Any]]] = [
    ("chat", {}, {}, None, {"slots": 8, "queue_limit": 256, "queue_bytes": 128 << 20}),
    ("chat", {"MAX_QUEUE_SIZE": "5"}, {}, None, {"queue_limit": 5}),
    ("chat", {"MAX_QUEUE_SIZE": "5", "CHAT_BATCH_QUEUE_SIZE": "7"}, {}, None, {"queue_limit": 7}),
    ("chat", {"CHAT_BATCH_QUEUE_SIZE": "7"}, {"queue_limit": 9}, None, {"queue_limit": 9}),
    ("chat", {"CHAT_BATCH_MAX_SIZE": "3"}, {}, None, {"slots": 3}),
    ("chat", {"CHAT_BATCH_MAX_SIZE": "3"}, {"slots": 4}, None, {"slots": 4}),
    ("embed", {"CHAT_BATCH_MAX_SIZE": "3"}, {}, None, {"slots": 16, "batch_window_ms": 6.0}),
    ("embed", {"EMBEDDING_BATCH_WINDOW_MS": "0"}, {}, None, {"batch_window_ms": 0.0}),
    ("embed", {}, {}, None, {"request_timeout_s": 60.0, "cache_items": 256}),
    ("embed", {}, {}, None, {"queue_limit": 1024, "queue_timeout_s": 300.0}),
    ("embed", {"MAX_QUEUE_SIZE": "5"}, {}, None, {"queue_limit": 5}),
    ("rerank", {}, {}, None, {"queue_limit": 1024, "queue_timeout_s": 300.0}),
    ("rerank", {"EMBEDDING_BATCH_QUEUE_SIZE": "3"}, {}, None, {"queue_limit": 3}),
    ("embed", {"EMBEDDING_CACHE_SIZE": "0"}, {}, None, {"cache_items": 0}),
    ("embed", {"EMBEDDING_CACHE_SIZE": "9"}, {"cache_items": 5}, None, {"cache_items": 5}),
    ("rerank", {"EMBEDDING_CACHE_SIZE": "9"}, {}, None, {"cache_items": 0, "slots": 16}),
    ("rerank", {"EMBEDDING_BATCH_WINDOW_MS": "2"}, {}, None, {"batch_window_ms": 2.0}),
    ("rerank", {"EMBEDDING_BATCH_QUEUE_SIZE": "3"}, {"cache_items": 7}, None, {"cache_items": 7}),
    ("speech", {}, {}, None, {"request_timeout_s": 14_400.0, "slots": 1, "queue_timeout_s": 300.0}),
    ("speech", {"AUDIO_MAX_QUEUE_SIZE": "2"}, {}, None, {"queue_limit": 2}),
    ("speech", {"AUDIO_QUEUE_TIMEOUT_SEC": "9"}, {}, None, {"queue_timeout_s": 9.0}),
    ("chat", {}, {"queue_mb": 2}, None, {"queue_bytes": 2 << 20}),
    ("chat", {}, {}, None, {"replicas": 1, "most_replicas": 1, "scales": False}),
    ("chat", {}, {"replicas": 3}, None, {"replicas": 3, "most_replicas": 3, "scales": False}),
    ("chat", {}, {"replicas": {"max": 2}}, None, {"replicas": 1, "scaling": Scaling(most=2)}),
    ("chat", {}, {"replicas": {"min": 2, "max": 2}}, None, {"replicas": 2, "scales": False}),
    (
        "chat",
        {},
        {"replicas": {"min": 2, "max": 4, "wait_s": 0.5, "idle_s": 9}},
        None,
        {"replicas": 2, "scaling": Scaling(most=4, wait_s=0.5, idle_s=9.0), "scales": True},
    ),
    ("chat", {"MODEL_DEVICE": "cpu"}, {"device": "cuda:1"}, None, {"device": "cuda:1"}),
    ("chat", {"MODEL_DEVICE": "mps"}, {"device": "cuda:1"}, "cpu", {"device": "cpu"}),
    ("chat", {"MODEL_DEVICE": "CUDA"}, {}, None, {"device": "cuda"}),
]


@pytest.mark.parametrize(("task", "environment", "keys", "forced", "expected"), PRECEDENCE)
def test_an_entry_wins_over_the_environment_and_a_flag_over_both(
    task: str,
    environment: dict[str, str],
    keys: dict[str, Any],
    forced: str | None,
    expected: dict[str, Any],
) -> None:
    os.environ.update(environment)
    spec = spec_for(entry(task=task, **keys), settings.load(Flags()), Box(), Files(), forced)
    assert {key: getattr(spec, key) for key in expected} == expected


def test_the_names_in_a_task_s_descriptor_are_settings_and_keys_of_an_entry() -> None:
    for task in TASKS.values():
        named = {*task.settings.values(), *filter(None, [task.batching])}
        assert named <= Settings.model_fields.keys()
        assert set(task.catalog_keys) <= Entry.model_fields.keys()


def test_sampling_defaults_come_from_the_entry_and_stay_below_the_cap() -> None:
    os.environ.update(MAX_NEW_TOKENS="100", CHAT_MAX_NEW_TOKENS="60")
    given = {"temperature": 0.2, "top_k": 20, "min_p": 0.05, "repetition_penalty": 1.1}
    spec = spec_for(entry(defaults=given), settings.load(Flags()), Box(), Files())
    assert (spec.defaults.temperature, spec.defaults.top_p) == (0.2, 1.0)
    assert (spec.defaults.top_k, spec.defaults.min_p) == (20, 0.05)
    assert spec.defaults.repetition_penalty == 1.1
    assert (spec.defaults.max_tokens, spec.max_new_tokens) == (60, 60)


@pytest.mark.parametrize(
    ("given", "environment", "usual", "thinking"),
    [
        ({}, {}, 512, 2048),
        ({}, {"CHAT_MAX_NEW_TOKENS": "300"}, 300, 300),
        ({}, {"CHAT_MAX_NEW_TOKENS": "8000"}, 512, 8000),
        ({}, {"MAX_NEW_TOKENS": "600"}, 600, 600),
        ({"max_tokens": 700}, {}, 700, 700),
    ],
)
def test_a_model_that_reasons_may_write_more_unless_it_is_said(
    given: dict[str, int], environment: dict[str, str], usual: int, thinking: int
) -> None:
    os.environ.update(environment)
    spec = spec_for(entry(task="chat", defaults=given), settings.load(Flags()), Box(), Files())
    assert (spec.defaults.max_tokens, spec.defaults.thinking_max_tokens) == (usual, thinking)


def test_every_key_of_an_entry_reaches_the_spec_or_is_read_elsewhere() -> None:
    from ipc.messages.spec import Spec
    from supervisor.config.spec import SAME

    read_by_name = {"name", "task", "engine", "device", "defaults", "options"}
    read_by_name |= {"queue_mb", "replicas", "cluster"}
    files_and_people = {"source", "hf_repo_id", "files", "include", "path"} | {
        "description",
        "aliases",
        "variants",
        "variant",
    }
    assert set(Entry.model_fields) == set(SAME) | read_by_name | files_and_people
    assert set(SAME) <= set(Spec.__struct_fields__)


@pytest.mark.parametrize("key", ["idle_unload_s", "pin"])
def test_a_key_of_models_that_come_and_go_is_refused_for_one_that_stays(key: str) -> None:
    given = entry(**{key: 1})
    with pytest.raises(ConfigError, match=f"acme/one: {key}: a model that is always loaded has"):
        spec_for(given, settings.load(Flags()), Box(), Files())
    os.environ["MODEL_LOAD"] = "on_demand"
    assert getattr(spec_for(given, settings.load(Flags()), Box(), Files()), key) == 1


def test_the_head_of_the_catalog_describes_every_key_of_an_entry() -> None:
    head = (ROOT / "configs/model_config.yaml").read_text().partition("\nserve:")[0]
    columns = re.findall(r"^#   (\S.*?)(?:  |$)", head, re.MULTILINE)
    described = {key for column in columns for key in re.findall(r"\w+", column)}
    assert Entry.model_fields.keys() - described == set()


@pytest.mark.parametrize(
    ("keys", "threads"),
    [
        ({}, 8),
        ({"replicas": 2}, 4),
        ({"replicas": 3}, 2),
        ({"replicas": 99}, 1),
        ({"replicas": {"min": 1, "max": 4}}, 8),
        ({"replicas": {"min": 2, "max": 4}}, 4),
        ({"replicas": 2, "threads": 8}, 8),
    ],
)
def test_workers_that_there_always_are_share_the_cores(keys: dict[str, Any], threads: int) -> None:
    for engine, device, expected in (("openvino", "cpu", threads), ("torch", "cuda", 8)):
        given = entry(engine=engine, device=device, **keys)
        box = Box(cuda=True, threads=8)
        assert spec_for(given, settings.load(Flags()), box, Files()).threads == expected


# --- engine and device ---------------------------------------------------------------------------

CPU, GPU, MAC = Box(), Box(cuda=True), Box(mps=True, machine="arm64")
CHOICES = [
    ("auto", "auto", "chat", True, CPU, ("openvino", "cpu")),
    ("auto", "auto", "chat", False, CPU, ("torch", "cpu")),
    ("auto", "auto", "embed", False, CPU, ("openvino", "cpu")),
    ("auto", "auto", "speech", False, CPU, ("ctranslate2", "cpu")),
    ("auto", "auto", "chat", True, GPU, ("torch", "cuda")),
    ("auto", "auto", "embed", False, GPU, ("torch", "cuda")),
    ("auto", "auto", "rerank", False, CPU, ("openvino", "cpu")),
    ("auto", "auto", "rerank", False, GPU, ("torch", "cuda")),
    ("auto", "auto", "speech", False, GPU, ("ctranslate2", "cuda")),
    ("torch", "auto", "speech", False, GPU, ("torch", "cuda")),
    ("onnx-asr", "auto", "speech", False, GPU, ("onnx-asr", "cpu")),
    ("onnx-asr", "auto", "speech", False, Box(onnxruntime=True), ("onnx-asr", "cuda")),
    ("auto", "cpu", "chat", True, GPU, ("openvino", "cpu")),
    ("openvino", "auto", "chat", True, GPU, ("openvino", "cpu")),
    ("auto", "auto", "chat", True, MAC, ("torch", "mps")),
    ("auto", "auto", "speech", False, MAC, ("ctranslate2", "cpu")),
    ("auto", "auto", "chat", True, Box(machine="aarch64"), ("torch", "cpu")),
    # An explicit GPU stays one, though none answers yet: it may come up later, and must never
    # quietly become the CPU.
    ("auto", "cuda:1", "chat", True, CPU, ("torch", "cuda:1")),
    ("my.engines.Fast", "auto", "chat", False, GPU, ("my.engines.Fast", "cuda")),
]


CUDA13 = Box(cuda=True, cublas12=False)
SPEECH = [
    # The device that is wanted, whether torch reads the files, the box, and what follows.
    ("auto", True, GPU, ("ctranslate2", "cuda")),
    ("auto", True, CUDA13, ("torch", "cuda")),
    ("auto", False, CUDA13, ("ctranslate2", "cpu")),
    ("cpu", True, CUDA13, ("ctranslate2", "cpu")),
    ("cuda:1", True, CUDA13, ("torch", "cuda:1")),
    ("cuda:1", False, CUDA13, ("ctranslate2", "cuda:1")),  # named, so never replaced: `check` tells
]


@pytest.mark.parametrize(("device", "checkpoint", "box", "expected"), SPEECH)
def test_ctranslate2_gets_a_gpu_only_where_its_cublas_opens(
    device: str, checkpoint: bool, box: Box, expected: tuple[str, str]
) -> None:
    found = choose("auto", device, "speech", converted=False, checkpoint=checkpoint, box=box)
    assert found == expected


@pytest.mark.parametrize(("engine", "device", "task", "converted", "box", "expected"), CHOICES)
def test_auto_takes_the_fastest_that_can_load_the_files(
    engine: str, device: str, task: Any, converted: bool, box: Box, expected: tuple[str, str]
) -> None:
    assert choose(engine, device, task, converted=converted, box=box) == expected


ARM = Box(machine="aarch64")
GGUFS = [
    # Whether openvino reads it, the box, and what follows.
    (True, CPU, ("openvino", "cpu")),
    (False, CPU, ("llama.cpp", "cpu")),
    (True, ARM, ("llama.cpp", "cpu")),
    (False, GPU, ("torch", "cuda")),
]


@pytest.mark.parametrize(("converted", "box", "expected"), GGUFS)
def test_llama_cpp_takes_the_gguf_files_that_openvino_cannot_read(
    converted: bool, box: Box, expected: tuple[str, str]
) -> None:
    assert choose("auto", "auto", "chat", converted=converted, gguf=True, box=box) == expected


@pytest.mark.parametrize("vision", [None, True])
def test_llama_cpp_takes_a_gguf_file_that_is_to_read_images(vision: bool | None) -> None:
    files = Files(path="m.gguf", gguf=True, converted=True)
    spec = spec_for(entry(task="chat", vision=vision), settings.load(Flags()), CPU, files)
    assert (spec.engine, spec.vision) == (("llama.cpp", True) if vision else ("openvino", False))


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_an_engine_that_reads_no_images_of_a_gguf_file_is_refused(engine: str) -> None:
    files = Files(path="m.gguf", gguf=True, converted=True)
    wanted = entry(task="chat", vision=True, engine=engine)
    with pytest.raises(ConfigError, match=r"vision: .* text only of a GGUF file; set llama\.cpp"):
        spec_for(wanted, settings.load(Flags()), CPU, files)


def test_openvino_takes_images_by_an_exported_model() -> None:
    files = Files(path="m", converted=True, vision=True)
    spec = spec_for(entry(task="chat"), settings.load(Flags()), CPU, files)
    assert (spec.engine, spec.vision) == ("openvino", True)


HEADERS = [
    ("qwen3", {0, 12, 14}, True),  # Q4_K_M: norms in F32, the rest in Q4_K and Q6_K
    ("qwen3", {0, 13}, False),  # Q5_K
    ("gemma3", {0, 8}, False),
]


@pytest.mark.parametrize(("architecture", "types", "expected"), HEADERS)
def test_openvino_reads_some_gguf_files(architecture: str, types: set[int], expected: bool) -> None:
    header = Header(architecture, 4096, True, frozenset(types))
    assert openvino_reads(header) == expected


IMPOSSIBLE = [
    ("vllm", "cpu", "chat", "engine: 'vllm' is not one of auto, openvino, torch"),
    (
        "ctranslate2",
        "cpu",
        "chat",
        "does not serve chat models; use openvino or torch or llama.cpp or remote or command",
    ),
    ("openvino", "cuda", "chat", "device: engine openvino runs on cpu, not on cuda; set auto"),
    ("llama.cpp", "cpu", "embed", "engine: llama.cpp does not serve embed models; use openvino or"),
    ("auto", "mps", "speech", "device: engine ctranslate2 runs on cpu or cuda, not on mps"),
]


@pytest.mark.parametrize(("engine", "device", "task", "message"), IMPOSSIBLE)
def test_an_engine_that_cannot_do_it_is_refused_before_anything_starts(
    engine: str, device: str, task: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        choose(engine, device, task, converted=False, box=CPU)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"a/b": "150000 100000"}, 2),
        ({"a": "50000 100000", "a/b": "max 100000"}, 1),
        ({"": "300000 100000"}, 3),
        ({"a/b": "max 100000"}, 64),
        ({}, 64),
    ],
)
def test_the_cpu_quota_of_any_group_above_bounds_the_threads(
    limits: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/a/b\n")
    groups = tmp_path / "cgroup"
    (groups / "a/b").mkdir(parents=True)
    for name, text in limits.items():
        (groups / name / "cpu.max").write_text(text + "\n")
    assert count_threads(tmp_path / "proc", groups, tmp_path / "sys") == expected


# --- the catalog ---------------------------------------------------------------------------------

TWO = """
models:
  - {name: a, task: chat, engine: echo, aliases: ALIASES}
  - {name: b, task: chat, engine: echo, aliases: [fast]}
"""


def test_a_model_may_have_more_names_as_clients_have_them(tmp_path: Path) -> None:
    found = own_catalog(tmp_path, TWO.replace("ALIASES", "[gpt-4o, 'llama3.2:3b', x/y/z@1]"))
    names = {"gpt-4o": "a", "llama3.2:3b": "a", "x/y/z@1": "a", "fast": "b"}
    assert catalog.aliases(found.select([])) == names


def test_one_alias_needs_no_list(tmp_path: Path) -> None:
    found = own_catalog(tmp_path, TWO.replace("ALIASES", "whisper-1"))
    assert found.models["a"].entry.aliases == ["whisper-1"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("[b]", "a: aliases: 'b' is a name of b already"),
        ("[fast]", "b: aliases: 'fast' is a name of a already"),
        ("[a]", "a: aliases: 'a' is a name of this model already"),
        ("[x, x]", "a: aliases: 'x' is a name of this model already"),
        ("['two words']", "a: aliases.0: 'two words' is not a name; use letters, digits and"),
        ("['']", "a: aliases.0: '' is not a name"),
        (f"[{'x' * 257}]", "is not a name"),
    ],
)
def test_a_name_is_that_of_one_model(tmp_path: Path, written: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        own_catalog(tmp_path, TWO.replace("ALIASES", written)).select([])


def test_models_that_are_not_served_together_may_share_an_alias(tmp_path: Path) -> None:
    found = own_catalog(tmp_path, TWO.replace("ALIASES", "[fast]"))
    assert catalog.aliases(found.select(["b"])) == {"fast": "b"}


def test_a_shipped_model_takes_an_alias_from_an_entry_with_its_name(tmp_path: Path) -> None:
    entry = "{name: openai/whisper-base, task: speech, aliases: [whisper-1]}"
    (model,) = own_catalog(tmp_path, f"models: [{entry}]").select([])
    assert model.entry.aliases == ["whisper-1"]
    assert isinstance(model.source, Packages)


def own_catalog(tmp_path: Path, text: str) -> catalog.Catalog:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    return catalog.load(file)


def test_the_catalog_that_ships_serves_a_model_of_each_task() -> None:
    shipped = catalog.load(None)
    tasks = [model.entry.task for model in shipped.select([])]
    assert tasks == ["chat", "embed", "speech"]


def test_every_file_of_a_package_is_taken_from_one_of_its_packages() -> None:
    for model in catalog.load(None).models.values():
        if not isinstance(model.source, Packages):
            continue
        named = (req.partition("==")[0].replace("-", "_") for req in model.source.requirements)
        tops = {{"hibari_tts": "hibari"}.get(name, name) for name in named}
        members = [each for file in model.entry.files.values() for each in file.members]
        assert {member.partition("/")[0] for member in members} == tops


def test_a_file_of_ones_own_adds_models_and_changes_keys_of_others(tmp_path: Path) -> None:
    found = own_catalog(
        tmp_path,
        """
        models:
          - {name: mine, task: chat, source: "file:weights/mine.gguf"}
          - {name: openai/whisper-base, queue_limit: 3}
        """,
    )
    assert found.serve == ["mine", "openai/whisper-base"]
    assert found.models["mine"].source == LocalPath(tmp_path / "weights/mine.gguf")
    assert found.models["openai/whisper-base"].entry.queue_limit == 3
    assert found.models["openai/whisper-base"].entry.task == "speech"
    assert "openai/whisper-tiny.en" in found.models


def test_the_reference_servers_keys_are_understood(tmp_path: Path) -> None:
    found = own_catalog(
        tmp_path,
        "models: [{name: BAAI/bge-m3, task: embed, hf_repo_id: BAAI/bge-m3, handler: torch}]",
    )
    model = found.models["BAAI/bge-m3"]
    assert (model.source, model.entry.engine) == (HubRepo("BAAI/bge-m3", "main"), "torch")


def test_a_catalog_of_the_reference_server_starts_with_a_word_about_its_handlers(
    tmp_path: Path,
) -> None:
    found = own_catalog(
        tmp_path,
        """
        models:
          - name: Qwen/Qwen3-VL-2B-Instruct
            hf_repo_id: Qwen/Qwen3-VL-2B-Instruct
            handler: app.models.qwen_vl.QwenVLChat
            defaults: {temperature: 0.5}
          - name: openai/whisper-tiny.en
            hf_repo_id: openai/whisper-tiny.en
            handler: app.models.whisper.WhisperASR
          - name: acme/vectors
            hf_repo_id: vectors
            handler: app.models.hf_embedding.HFEmbeddingModel
        """,
    )
    models = [found.models[name] for name in found.serve]
    assert [(model.entry.task, model.entry.vision) for model in models] == [
        ("chat", True),
        ("speech", None),
        ("embed", None),
    ]
    assert models[0].entry.defaults.temperature == 0.5
    assert models[1].source == HubRepo("openai/whisper-tiny.en", "main")
    assert models[1].entry.files == {}
    assert models[2].source == HubRepo("vectors", "main")
    (warning,) = found.warnings
    assert [line.partition(": ")[2] for line in warning.splitlines()] == [
        "Qwen/Qwen3-VL-2B-Instruct: instead of app.models.qwen_vl.QwenVLChat write task: chat, "
        "vision: true",
        "openai/whisper-tiny.en: instead of app.models.whisper.WhisperASR write task: speech",
        "acme/vectors: instead of app.models.hf_embedding.HFEmbeddingModel write task: embed",
    ]


def test_the_echo_engine_needs_no_source(tmp_path: Path) -> None:
    found = own_catalog(tmp_path, "models: [{name: echo, task: chat, engine: echo}]")
    assert found.select([])[0].source is None


BAD_CATALOGS = [
    ("models: [{name: a, task: chat, engine: echo, slotz: 1}]", "a: slotz: unknown key.*slots"),
    ("models: [{name: a, task: chat, engine: echo, slots: 0}]", "a: slots: 0 is too low; set it"),
    ("models: [{name: a, task: chat, engine: echo, replicas: 0}]", "a: replicas.min: 0 is too low"),
    (
        "models: [{name: a, task: chat, engine: echo, replicas: {min: 2}}]",
        "replicas.max: is missin",
    ),
    (
        "models: [{name: a, task: chat, engine: echo, replicas: {min: 3, max: 2}}]",
        "a: replicas: min: 3 is more than max: 2; swap them",
    ),
    (
        "models: [{name: a, task: chat, engine: echo, replicas: {max: 2, idle: 2}}]",
        "a: replicas.idle: unknown key",
    ),
    ("models: [{name: a, task: sing, engine: echo}]", "a: task: 'sing' is not one of 'chat', 'emb"),
    ("models: [{name: a, engine: echo}]", "a: task: is missing; add it"),
    ("models: [{name: a, task: chat}]", "a: source: is missing; write pypi:"),
    ("models: [{name: a, task: chat, source: 'ftp:x'}]", "'ftp:x' is not a source; write pypi:"),
    ("models: [{name: a, task: chat, source: 'pypi:x'}]", "'pypi:x' is not a source"),
    ("models: [{name: a, task: chat, source: 'pypi:x==1'}]", "files: is missing"),
    ("models: [{name: a, task: chat, source: 'hf:a/b', hf_repo_id: a/b}]", "keep one"),
    ("models: [{name: ../a, task: chat, engine: echo}]", "is not a model name"),
    ("models: [{name: a/../b, task: chat, engine: echo}]", "is not a model name"),
    ('models: [{name: "a\\nb", task: chat, engine: echo}]', "is not a model name"),
    ("models: [{name: a, task: chat, engine: echo, path: ../b}]", "path: '../b' is not a path ins"),
    ("models: [{name: a, task: chat, engine: echo, defaults: {top_a: 1}}]", "defaults.top_a: unkn"),
    ("models: [{name: a, task: chat, engine: echo, defaults: {min_p: 1}}]", "defaults.min_p: 1 "),
    ("models: [{name: a, task: chat, engine: echo, device: gpu}]", "device: 'gpu' is not a device"),
    ("models: [{name: a, task: [chat], engine: echo}]", "a: task: a list is not one of 'chat'"),
    ("models: [{name: a, task: null, engine: echo}]", "a: task: has no value; write one, or leave"),
    ("models: [{name: a, task: chat, source: 5}]", "a: source: 5 is not text; put it in quotes"),
    ("models: [{name: a, task: chat, options: 5}]", "a: options: 5 is not a group of keys; write"),
    ("models: [{name: a, task: chat, options: {b: [1]}}]", "a: options.b: a list is not text, a"),
    ("models: [{name: a, task: chat, defaults: 5}]", "a: defaults: 5 is not a group of keys; wri"),
    ("models: [{name: a, task: chat, include: x}]", "a: include: 'x' is not a list; write one as"),
    ("models: [{name: a, task: chat, engine: echo, slots: 1_0}]", "line 1: '1_0' is not"),
    (
        "models: [{name: a, task: chat, engine: echo, slots: true}]",
        "slots: true is not a n",
    ),
    (
        "models: [{name: a, task: chat, engine: echo, slots: '08'}]",
        "slots: '08' is not a",
    ),
    ("models:\n- name: a\n  name: b", "line 3: the key 'name' stands in line 2 too; remove one"),
    (
        "models: []\nserve: []\nmodels: []",
        "line 3: the key 'models' stands",
    ),
    (
        "models: [{name: a, task: chat, engine: echo, vision: yes}]",
        "line 1: 'yes' is true",
    ),
    (
        "models: [{name: a, task: chat, source: 'file:${HOME}/m.gguf'}]",
        "HOME} is not expanded",
    ),
    (
        "models: [{name: a, task: chat, source: 'file:~nobody_here/m'}]",
        "there is no such user",
    ),
    ("models: [{name: a, task: chat, source: 'file: '}]", "is not a source; write pypi"),
    (
        "models: [{name: a, task: embed, source: 'hf:a/b', max_new_tokens: 9}]",
        "embed models",
    ),
    (
        "models: [{name: a, task: speech, source: 'hf:a/b', defaults: {top_p: 1}}]",
        "defaults: sp",
    ),
    (
        "models: [{name: a, task: chat, source: 'hf:a/b', cache_items: 9}]",
        "cache_items: chat",
    ),
    (
        "models: [{name: a, task: chat, source: 'file:b', include: [c]}]",
        "include: is for",
    ),
    (
        "models: [{name: a, task: chat, engine: echo, path: b}]",
        "path: there is no source",
    ),
    ("models: [{name: a, task: chat, engine: echo}]\nserve: [a, a]", "a stands there twice"),
    ("models: [{name: a, task: chat, engine: echo, variant: b}]", "variant: it has no"),
    ("models: [{task: chat}]", "models.0.: has no name"),
    ("models: [{name: a}, {name: a}]", "a: stands there twice"),
    ("models: {}", "has no list of models"),
    ("modells: []", "has no list of models"),
    ("models: []\nserv: [a]", "serv: unknown key; did you mean serve"),
    ("models: []\nserve: [openai/wisper-base]", "did you mean openai/whisper-base"),
    ("models: [", "own.yaml, line 1: not YAML: expected"),
    ("models:\n\t- name: a", "own.yaml, line 2: not YAML: found character '.t' that cannot start"),
    ("models: [{name: a, task: chat, engine: echo, 5: 6}]", "a: 5: 5 is not text; put it in quote"),
]


@pytest.mark.parametrize(("text", "message"), BAD_CATALOGS)
def test_a_mistake_in_a_catalog_is_one_line_that_names_the_key(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        own_catalog(tmp_path, text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../x", "a//x", "a\\x", ".", "", "C:/x"])
def test_a_files_place_stays_inside_the_models_folder(path: str) -> None:
    with pytest.raises(ValueError, match="is not a path inside the model's folder"):
        inner_path(path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("whisper-bas", "; did you mean openai/whisper-base?"),
        ("whisper-base", "; did you mean openai/whisper-base?"),
        ("WHISPER", "; did you mean openai/whisper-base or openai/whisper-tiny.en?"),
        ("minilm", "; did you mean sentence-transformers/all-MiniLM-L6-v2?"),
        ("sentence-transformers", "; did you mean sentence-transformers/all-MiniLM-L6-v2?"),
        ("openai/wisper-base", "; did you mean openai/whisper-base"),
        ("a", ""),
        ("llm", ""),
    ],
)
def test_an_unknown_name_is_answered_with_those_that_hold_it_or_are_like_it(
    name: str, hint: str
) -> None:
    known = ["openai/whisper-tiny.en", "openai/whisper-base", ALL_MINILM]
    assert nearest(name, known).startswith(hint)
    assert bool(nearest(name, known)) is bool(hint)


def test_an_unknown_model_is_answered_with_the_nearest_ones() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^MODELS: no model 'whisper-base' .*; did you mean openai/whisper-base\?$",
    ):
        catalog.load(None).select(["whisper-base"])
    with pytest.raises(ConfigError, match=r"no model 'nothing' in the catalog; see edge-serve mod"):
        catalog.load(None).select(["nothing"])
