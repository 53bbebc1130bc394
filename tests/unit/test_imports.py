"""Who may import whom, read from the source: the architecture, kept by a test."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"ipc", "worker", "supervisor", "frontend", "bench"}
MAY_IMPORT = {
    "ipc": {"ipc"},
    "worker": {"ipc", "worker"},
    "supervisor": {"ipc", "supervisor"},
    "frontend": {"ipc", "frontend"},
    "bench": {"ipc", "worker", "supervisor", "bench"},
}
# Libraries with one home: elsewhere they would cost memory or blur the line between processes.
HOMES = {
    "worker/engines/": {"torch", "transformers", "openvino", "openvino_genai", "ctranslate2"}
    | {"openvino_tokenizers", "faster_whisper", "accelerate", "gguf", "safetensors"}
    | {"onnxruntime", "xllamacpp"},
    "worker/": {"av", "PIL", "tokenizers", "jinja2"},
    "frontend/": {"starlette", "uvicorn", "uvloop", "prometheus_client", "python_multipart"},
    "supervisor/": {"psutil", "typer", "rich", "yaml", "pydantic_settings", "huggingface_hub"}
    | {"pynvml"},
    "bench/": {"matplotlib"},
}
# The daemon is what must not fall over: small, and quick to start.
DAEMON_LIBRARIES = {"msgspec", "psutil", "pythonjsonlogger", "pynvml", "zmq"}

FILES = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module that ``path`` names in an import, wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            found.add(node.module or "")
    return found


def top(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_packages_keep_apart(path: Path) -> None:
    where = path.relative_to(ROOT).as_posix()
    used = top(imports(path))
    assert used & OURS <= MAY_IMPORT[where.partition("/")[0]]
    for home, libraries in HOMES.items():
        # No part of a server: it measures each library by itself.
        assert where.startswith((home, "bench/")) or not used & libraries


def test_the_daemon_stays_small() -> None:
    """Everything that ``python -m supervisor`` can reach, followed through our own modules."""
    reached, todo = set(), ["supervisor.__main__"]
    libraries: set[str] = set()
    while todo:
        module = todo.pop()
        path = ROOT / (module.replace(".", "/") + ".py")
        if module in reached or not path.exists():
            continue
        reached.add(module)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in OURS:
                todo += [f"{node.module}.{alias.name}" for alias in node.names]
        used = imports(path)
        todo += [name for name in used if name.partition(".")[0] in OURS]
        libraries |= top(used) - OURS - set(sys.stdlib_module_names)
    assert "supervisor.supervisor" in reached
    assert libraries <= DAEMON_LIBRARIES
