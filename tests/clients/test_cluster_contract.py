"""The contract of the faces through each box of a cluster: all cases of `tests.contract` that ask a
server with the default models, which are the cluster's there.

Others of it cannot be asked so: those of engines in this process, and those of a server that they
set up, stop and start for themselves. What models of a cluster refuse is in docs/cluster.md: input
in pieces, which `voice` and ``speech/test_uploads.py`` send, and prefixes that are read again, for
``test_warm_after_restart.py``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import cluster_boxes
from tests.clients.cluster_boxes import ADDRESSES, Box, boxes
from tests.clients.conftest import ROOT
from tests.contract.subjects import MINILM, SMOLLM2, WHISPER

CLIENT = cluster_boxes.CLIENT
SUITES = (
    "test_sdk.py",
    "test_anthropic.py",
    "test_responses.py",
    "test_ollama.py",
    "test_batches.py",
    "clients/test_mcp.py",
)
SUITE_S = 1800.0

pytestmark = pytest.mark.timeout(2 * SUITE_S)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Box]]:
    """With one replica of each model, wherever Ray has placed it."""
    models = [{"name": name, "cluster": True} for name in (SMOLLM2, MINILM, WHISPER)]
    folder = tmp_path_factory.mktemp("cluster")
    with boxes(folder, models, ROOT / "models") as found:
        yield found


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("number", range(len(ADDRESSES)))
def test_it_holds_through_each_box(
    cluster: list[Box], number: int, suite: str, tmp_path: Path
) -> None:
    box = cluster[number]
    through = ["--through", box.url, "--through-ollama", box.ollama_url]
    scratch = ["--basetemp", str(tmp_path / "t"), "-p", "no:cacheprovider"]
    argv = [sys.executable, "-m", "pytest", *scratch, *through, f"tests/contract/{suite}"]
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, timeout=SUITE_S, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
