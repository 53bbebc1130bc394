"""The tree, kept by a test: who may import whom, a home for each library, how full a folder is.

All of it is read from the source; nothing is imported.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("ipc", "worker", "supervisor", "frontend", "bench")

# What the modules of a folder may import beside their own folder: by folder, all below it included,
# or by module. The longest name that fits a module is its line. No engine's line names another
# engine, so none imports another.
_ENGINE = {"ipc", "worker/apart", "worker/engine", "worker/conversion", "worker/engines/common"}
MAY_IMPORT: dict[str, set[str]] = {
    "ipc": {"ipc"},
    "ipc/messages": set(),
    "ipc/facts": set(),
    "ipc/grammar": {"ipc/messages"},
    "ipc/runtime": set(),
    "ipc/transport": {"ipc/messages"},
    "worker": {"ipc", "worker"},
    "worker/audio": {"ipc/messages", "ipc/spool"},
    "worker/speaking": {"ipc/messages", "worker/engine", "worker/audio"},
    "worker/hearing": {"ipc/messages", "ipc/engine_options", "ipc/facts/languages", "worker/engine"}
    | {"worker/audio", "worker/schedstat"},
    "worker/chat": {"ipc/messages", "ipc/facts", "ipc/grammar", "ipc/engines", "worker/engine"}
    | {"ipc/engine_options", "ipc/chat_parameters", "worker/apart", "worker/prefill"},
    "worker/engines": {"ipc/chat_parameters", "ipc/engines", "ipc/messages", "worker/engine"},
    "worker/engines/common": {"ipc/messages", "worker/engine", "worker/chat"}
    | {"worker/speaking/scripts", "worker/schedstat"},
    "worker/engines/torch_chat": _ENGINE | {"worker/chat", "worker/images"},
    "worker/engines/openvino_chat": _ENGINE | {"worker/chat", "worker/images"},
    "worker/engines/llama_cpp": _ENGINE | {"worker/chat", "worker/images"},
    "worker/engines/encoders": _ENGINE | {"worker/microbatch", "worker/cache"},
    "worker/engines/whisper": _ENGINE | {"worker/audio", "worker/hearing", "worker/trim"},
    "worker/engines/moonshine": _ENGINE | {"worker/audio", "worker/hearing"},
    "worker/engines/onnx_asr": _ENGINE | {"worker/audio", "worker/hearing"},
    "worker/engines/hibari": _ENGINE | {"worker/audio", "worker/speaking"},
    "worker/engines/kokoro": _ENGINE | {"worker/audio", "worker/speaking"},
    "worker/engines/upstream": _ENGINE | {"worker/audio"},
    "worker/engines/echo": _ENGINE | {"worker/prefill"},
    # The daemon reads no catalog and no model file.
    "supervisor": {"ipc", "supervisor/children", "supervisor/host", "supervisor/config/address"}
    | {"supervisor/state", "supervisor/keys"},
    "supervisor/keys": {"ipc/messages"},
    "supervisor/cluster": {"ipc", "supervisor/config"},
    "supervisor/state": {"ipc", "supervisor/host"},
    "supervisor/children": {"ipc/runtime", "ipc/engines", "ipc/messages/spec", "supervisor/host"},
    "supervisor/host": {"ipc/facts/pace"},
    "supervisor/config": {"ipc", "supervisor/host", "supervisor/keys"},
    "supervisor/models": {"ipc", "supervisor/config", "supervisor/notify"}
    | {"supervisor/host/timings", "supervisor/children/environment"},
    "supervisor/discovery": {"ipc", "supervisor/config", "supervisor/host", "supervisor/models"}
    | {"supervisor/residency/policy"},
    "supervisor/launch": {"ipc", "supervisor/config", "supervisor/host", "supervisor/models"}
    | {"supervisor/state", "supervisor/plan", "supervisor/interrupt", "supervisor/discovery"}
    | {"supervisor/cluster"},
    "supervisor/cli": {"ipc", "supervisor"},
    "frontend": {"ipc", "frontend"},
    "frontend/traces": {"ipc", "frontend/history"},
    "frontend/dispatch": {"ipc", "frontend/quotas/seen"},
    "frontend/quotas": {"ipc/messages"},
    "frontend/live": {"ipc", "frontend/dispatch"},
    "frontend/usage": {"ipc", "frontend/store", "frontend/http/request_context"},
    "frontend/grammar": {"ipc"},
    "frontend/batches": {"ipc", "frontend/dispatch", "frontend/in_process"},
    "frontend/http": {"ipc", "frontend/dispatch", "frontend/quotas"},
    "frontend/uploads": {"ipc", "frontend/http", "frontend/dispatch"},
    "frontend/listener": {"ipc", "frontend/http", "frontend/dispatch/budget"},
    "frontend/api": {"ipc", "frontend/http", "frontend/dispatch", "frontend/metrics"}
    | {"frontend/grammar", "frontend/batches", "frontend/resume", "frontend/store"}
    | {"frontend/in_process", "frontend/multipart", "frontend/live", "frontend/uploads"}
    | {"frontend/history", "frontend/incidents", "frontend/quotas", "frontend/usage"},
    "frontend/store": {"ipc", "frontend/history", "frontend/usage/ledger"},
    "frontend/history": {"ipc", "frontend/dispatch", "frontend/http", "frontend/store"},
    "frontend/incidents": {"ipc", "frontend/dispatch", "frontend/history", "frontend/store"},
    # It asks routes as anybody would, and knows none of them.
    "frontend/wyoming": {"ipc", "frontend/dispatch", "frontend/http/values", "frontend/streamed"}
    | {"frontend/current", "frontend/in_process", "frontend/multipart"},
    "frontend/openapi": {"ipc", "frontend/api"},
    "frontend/ui": {"ipc/messages/errors"},
    "frontend/resume": {"ipc/messages/errors", "frontend/http/request_context"},
    "bench": {"ipc", "supervisor"},
}
# Libraries with one home, or two: elsewhere they would cost memory or blur the line between
# processes.
HOMES = {
    "worker/engines/": {"torch", "transformers", "openvino", "openvino_genai", "ctranslate2"}
    | {"openvino_tokenizers", "accelerate", "gguf", "safetensors"}
    | {"onnxruntime", "onnx_asr", "xllamacpp", "hibari"},
    # Its search is an engine's; every engine hears by its voice filter.
    "worker/cluster/": {"ray"},
    "worker/": {"faster_whisper", "av", "PIL", "tokenizers", "jinja2"},
    "frontend/": {"starlette", "uvicorn", "uvloop", "prometheus_client", "python_multipart"},
    "frontend/traces/": {"opentelemetry"},
    "frontend/wyoming/": {"zeroconf"},
    "supervisor/": {"typer", "rich", "yaml", "pydantic_settings", "huggingface_hub", "pynvml"},
    "supervisor/ worker/cluster/": {"psutil"},  # who starts processes ends those below them
    "supervisor/cluster/": {"cryptography"},
    "bench/": {"matplotlib"},
}
# Libraries of more than one process, which a module of each may import.
MODULES_OF = {
    "llguidance": {"frontend/grammar/second_opinion", "worker/engines/torch_chat/grammars"},
}
# The daemon is what must not fall over: small, and quick to start.
DAEMON_LIBRARIES = {"msgspec", "psutil", "pythonjsonlogger", "pynvml", "zmq"}
# Engines that turn tokens into tokens; `worker/chat` makes events of them.
TOKEN_ENGINES = tuple(
    f"worker/engines/{name}/" for name in ("torch_chat", "openvino_chat", "llama_cpp")
)
EVENTS = ("Delta", "Reasoning", "CallOpened", "CallArguments", "Done", "Failed")
MAX_FILES = 20

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES = {path.relative_to(ROOT).with_suffix("").as_posix() for path in FILES}
# But those of the environments that `bin/test clients` makes.
TESTS = {
    folder
    for path in (ROOT / "tests").rglob("*.py")
    if "/." not in (folder := path.parent.relative_to(ROOT).as_posix())
}
FOLDERS = sorted({path.parent for path in FILES} | {ROOT / folder for folder in TESTS})


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Every module that ``path`` names in an import, wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


@functools.cache
def ours(path: Path) -> frozenset[str]:
    """The modules of ours that ``path`` imports, as paths without a suffix."""
    return frozenset(module.replace(".", "/") for module in imports(path)) & MODULES


def top(names: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def within(module: str, place: str) -> bool:
    return f"{module}/".startswith(f"{place}/")


@functools.cache
def line_of(module: str) -> str:
    return max((place for place in MAY_IMPORT if within(module, place)), key=len)


def may_import(own: str, used: str) -> bool:
    return line_of(used) == own or any(within(used, place) for place in MAY_IMPORT[own])


def strays(path: Path) -> set[str]:
    """The libraries that ``path`` imports away from their homes."""
    module = name(path.with_suffix(""))
    # `bench` is no part of a server: it measures each library by itself.
    elsewhere = [
        found for home, found in HOMES.items() if not module.startswith((*home.split(), "bench/"))
    ]
    elsewhere += [{library} for library, modules in MODULES_OF.items() if module not in modules]
    return top(imports(path)) & set().union(*elsewhere)


def test_a_module_imports_what_its_folder_may() -> None:
    refused = [
        f"{name(path)}: {own} may not import {used}"
        for path in FILES
        for used in ours(path)
        if not may_import(own := line_of(name(path.with_suffix(""))), used)
    ]
    assert refused == []


def test_a_library_is_imported_at_its_home() -> None:
    assert {name(path): found for path in FILES if (found := strays(path))} == {}


def test_a_token_engine_makes_no_events() -> None:
    events = {f"ipc.messages.events.{kind}" for kind in EVENTS}
    engines = [path for path in FILES if name(path).startswith(TOKEN_ENGINES)]
    assert engines
    assert {name(path): found for path in engines if (found := imports(path) & events)} == {}


def test_no_import_goes_in_a_circle() -> None:
    uses = {name(path.with_suffix("")): ours(path) for path in FILES}
    while free := {module for module, used in uses.items() if not used & uses.keys()}:
        uses = {module: used for module, used in uses.items() if module not in free}
    assert not uses


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_a_folder_can_be_read_at_a_glance(folder: Path) -> None:
    files = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    assert len(files) <= MAX_FILES
    # The daemon's loop is the one module that is named for its package, by what it is.
    named = [stem for stem in files if folder.name in stem.split("_")]
    assert not named or name(folder) in ("supervisor", *TESTS)


def test_the_daemon_stays_small() -> None:
    """Everything that ``python -m supervisor`` can reach, followed through our own modules."""
    reached, todo = set(), ["supervisor/__main__"]
    libraries: set[str] = set()
    while todo:
        module = todo.pop()
        if module in reached:
            continue
        reached.add(module)
        path = ROOT / f"{module}.py"
        todo += ours(path)
        libraries |= top(imports(path)) - set(PACKAGES) - set(sys.stdlib_module_names)
    assert "supervisor/supervisor" in reached
    assert libraries <= DAEMON_LIBRARIES


@pytest.mark.parametrize("page", sorted(ROOT.glob("*/DESIGN.md")), ids=name)
def test_a_design_names_files_that_are_there(page: Path) -> None:
    for file in re.findall(r"`([\w/]+\.py)`", page.read_text()):
        assert (page.parent / file).exists() or (ROOT / file).exists(), file


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "docs/architecture.md"])
def test_a_page_names_paths_that_are_there(page: str) -> None:
    for path in re.findall(r"`((?:\w+/)[\w/.]*)`", (ROOT / page).read_text()):
        top = path.partition("/")[0]
        assert top not in (*PACKAGES, "tests", "docs", "configs") or (ROOT / path).exists(), path
