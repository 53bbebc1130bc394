"""The description held against a running server: what it allows is answered as it says, what it
does not is refused, and nothing is an unhandled error.

SCHEMA_EXAMPLES sets how many requests are made up for each operation, beside those that try the
edges of every value; they are other ones each time then, else always the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ipc.messages.control import BatchConfig, HistoryConfig, IncidentsConfig
from tests.process.box import CHAT, EMBED, SPEECH, Box, MakeBox, spec

# Being the same in each run, they find what a change has broken; who looks for more than that has
# thousands of others made up.
EXAMPLES = os.environ.get("SCHEMA_EXAMPLES", "20")
GENERATION = (
    ["--generation-database", "none"]
    if "SCHEMA_EXAMPLES" in os.environ
    else ["--generation-deterministic"]
)
LONGEST_S = 3600
pytestmark = pytest.mark.long
RERANK = "echo/rerank"
FORMS = "/audio/|/v1/files$"
# These would end the server, or its workers again and again, have them take nothing or remove them,
# or never end themselves; or they need a catalog or a hub, which this server has not.
ENDS = (
    "^/admin/(drain|models/.*/(unload|restart|drain))$"
    "|^/admin/(reload|pulls|models/.*/(update|rollback))"
    "|^/unload$|^/models/(unload|sse)$|^/api/(v1/)?models/unload|^/logs/stream|^/api/(pull|delete)$"
    # A WebSocket, which a plain request cannot ask for.
    "|^/v1/realtime$"
    # By other methods than GET; a part of the operations of a path cannot be left out.
    "|^/models$|^/admin/models/{model}$"
)


@pytest.fixture(scope="module")
def box(module_box: MakeBox, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """Small limits, so that their far side is within reach."""
    state = tmp_path_factory.mktemp("state")
    return module_box(
        *(spec(name, slots=8, queue_limit=64) for name in (CHAT, EMBED, RERANK, SPEECH)),
        max_text_chars=500,
        max_batch_size=8,
        max_json_bytes=1 << 20,
        max_audio_bytes=1 << 20,
        ollama=True,
        state_dir=str(state),
        batches=BatchConfig(folder=str(state / "batches")),
        history=HistoryConfig(file=str(state / "history.db")),
        incidents=IncidentsConfig(folder=str(state / "incidents")),
    ).wait_ready()


@pytest.mark.timeout(LONGEST_S)
@pytest.mark.parametrize(
    "which",
    [
        pytest.param(["--exclude-path-regex", f"{FORMS}|{ENDS}"], id="JSON"),
        # All that a form holds is text: a number where a text belongs is a text.
        pytest.param(
            ["--include-path-regex", FORMS, "--exclude-checks", "negative_data_rejection"],
            id="forms",
        ),
    ],
)
def test_the_server_does_what_it_says(box: Box, which: list[str]) -> None:
    program = str(Path(sys.executable).with_name("schemathesis"))
    config = Path(__file__).with_name("schemathesis.toml")
    command = [program, "--no-color", "--config-file", str(config), "run"]
    options = ["--max-examples", EXAMPLES, "--phases", "coverage,fuzzing", "--continue-on-failure"]
    quiet = [*GENERATION, "--no-shrink", "--warnings", "off"]
    hooks = {"SCHEMATHESIS_HOOKS": "schema_hooks", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [*command, f"{box.url}/openapi.json", *options, *quiet, *which],
        env={**os.environ, **hooks},
        cwd=box.run_dir,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert " passed" in done.stdout
    assert not [line for line in box.lines() if "Traceback" in line or "request_failed" in line]
