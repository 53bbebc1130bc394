"""No decision depends on the wall clock: setting it kills nothing and releases nothing early."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Told to people and clients, never compared: uptime, `created` of an answer, the time of a pull, of
# a measurement or of a line of the log. Of a batch that another process has begun, how much of its
# day is left: from there on it is counted on the monotonic clock. How long a certificate holds, and
# until when a box of a cluster is drained: Ray takes no duration.
TOLD = {
    "supervisor/cluster/certificates.py",
    "supervisor/health.py",
    "frontend/batches/service.py",
    "frontend/api/admin/requests.py",
    "frontend/api/admin/samples.py",
    "frontend/middleware.py",
    "frontend/quotas/headers.py",
    "frontend/api/compat/lm_studio/downloads.py",
    "frontend/api/completions/completion_answer.py",
    "frontend/api/ollama/answer.py",
    "frontend/api/ollama/models.py",
    "frontend/api/realtime/conversation.py",
    "frontend/api/openai/chat_answer.py",
    "frontend/api/rerank/score.py",
    "frontend/api/responses/response.py",
    "supervisor/cli/top/look.py",
    "supervisor/daemon.py",
    "supervisor/models/store.py",
    "supervisor/state/recorder.py",
    "ipc/runtime/log.py",
    "worker/chat/template.py",
    "worker/cluster/ask.py",
}
WALL = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today"}
PACKAGES = ("ipc", "worker", "supervisor", "frontend")
PATHS = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def calls(path: Path) -> set[str]:
    """The last two names of every attribute that ``path`` calls, say ``time.time``."""
    called = [node.func for node in nodes(path) if isinstance(node, ast.Call)]
    return {
        f"{ast.unparse(one.value).rpartition('.')[2]}.{one.attr}"
        for one in called
        if isinstance(one, ast.Attribute) and one.attr in {name.partition(".")[2] for name in WALL}
    }


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    return [*ast.walk(ast.parse(path.read_text()))]


def test_the_wall_clock_is_only_told() -> None:
    readers = {path.relative_to(ROOT).as_posix() for path in PATHS if calls(path) & WALL}
    assert readers <= TOLD


def test_nobody_imports_the_wall_clock_by_its_bare_name() -> None:
    for path in PATHS:
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                assert not {alias.name for alias in node.names} & {"time", "time_ns"}, path
