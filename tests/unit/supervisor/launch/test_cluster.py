"""Models of a cluster, on a box that belongs to one and on one that does not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ipc import cluster
from ipc.cluster import Member
from ipc.messages.spec import Spec
from supervisor.config import settings
from supervisor.config.catalog import load as load_catalog
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Flags
from supervisor.host.hardware import detect
from supervisor.launch.daemon import plan_for
from supervisor.launch.stages import Launch

ENTRY = (
    "models: [{name: one, task: chat, engine: ENGINE, cluster: true, replicas: 2, memory_mb: 9}]"
)
MEMBER = Member(
    address="10.0.0.2", head="10.0.0.1", port=6380, memory_mb=1000, models_dir="/srv/models"
)


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state"


def planned(state_dir: Path, engine: str = "echo") -> Spec:
    """What is run for the model of `ENTRY`."""
    own = Path("own.yaml")
    own.write_text(ENTRY.replace("ENGINE", engine))
    found = settings.load(Flags(config=str(own)))
    ready = Launch(found, detect()).candidates(load_catalog(own).select([])).all
    (spec,) = plan_for(found, ready, {}, Path("/run/x"), state_dir=state_dir).serve.specs
    return spec


def join(state_dir: Path) -> Path:
    folder = cluster.folder_of(state_dir)
    folder.mkdir(parents=True)
    (folder / cluster.MEMBER).write_bytes(msgspec.json.encode(MEMBER))
    return folder


def test_a_box_of_a_cluster_passes_its_jobs_on(state_dir: Path) -> None:
    folder = join(state_dir)
    spec = planned(state_dir)
    assert spec.cluster is not None
    assert (spec.replicas, spec.cluster.served.replicas) == (1, 2)
    assert (spec.cluster.folder, spec.cluster.models_dir) == (str(folder), "/srv/models")
    assert spec.cluster.memory_mb == 9


def test_a_box_of_none_says_how_to_join_one(state_dir: Path) -> None:
    with pytest.raises(ConfigError, match="edge-serve cluster init, or join"):
        planned(state_dir)


def test_a_model_in_another_server_has_no_replicas(state_dir: Path) -> None:
    join(state_dir)
    remote = "remote, options: {base_url: 'http://a/v1'}"
    with pytest.raises(ConfigError, match="no replicas to place"):
        planned(state_dir, remote)
