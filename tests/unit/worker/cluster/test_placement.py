"""What Ray Serve is told of a model: where replicas fit, how many there are, and which it is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ipc.messages.spec import Cluster, FileFacts, Scaling, Spec
from worker.cluster.placement import app_of, at_home, digest_of, options, portable

SPEC = Spec(
    name="org/chat:Q4",
    task="chat",
    engine="llama.cpp",
    path="/models/org--chat/model.gguf",
    cache="/models/.cache/org--chat",
    slots=4,
    prefetch=2,
    facts=FileFacts(digest="abc"),
)


def cluster(spec: Spec = SPEC, *, models_dir: str = "/models", memory_mb: int = 900) -> Cluster:
    return Cluster(served=spec, folder="/state", models_dir=models_dir, memory_mb=memory_mb)


def test_a_replica_is_placed_by_what_its_model_was_measured_to_take() -> None:
    told = options(cluster())
    assert told["ray_actor_options"] == {"num_cpus": 0, "memory": 900 << 20}
    assert told["num_replicas"] == 1
    assert told["max_ongoing_requests"] == 6


def test_one_for_a_gpu_has_it_for_itself() -> None:
    told = options(cluster(replace(SPEC, device="cuda:1")))
    assert told["ray_actor_options"]["num_gpus"] == 1


def test_its_libraries_have_as_many_threads_as_in_any_worker() -> None:
    told = options(cluster(replace(SPEC, threads=3)))
    variables = told["ray_actor_options"]["runtime_env"]["env_vars"]
    assert set(variables.values()) == {"3"}


def test_ray_is_told_how_many_there_are_at_first_and_scales_nothing_itself() -> None:
    scaled = replace(SPEC, replicas=1, scaling=Scaling(most=3, wait_s=5.0, idle_s=60.0))
    told = options(cluster(scaled))
    assert told["num_replicas"] == 1
    assert "autoscaling_config" not in told


def test_paths_are_those_of_the_box_that_has_the_replica() -> None:
    there = at_home(portable(cluster()), "/srv/models")
    assert there.path == "/srv/models/org--chat/model.gguf"
    assert there.cache == "/srv/models/.cache/org--chat"


def test_the_gpu_of_a_replica_is_the_first_that_it_sees() -> None:
    devices = ["cuda:1", "cuda", "cpu"]
    there = [at_home(portable(cluster(replace(SPEC, device=one))), "/srv") for one in devices]
    assert [spec.device for spec in there] == ["cuda:0", "cuda", "cpu"]


@pytest.mark.parametrize("path", ["", "/data/model.gguf"])
def test_other_paths_are_the_same_on_all_boxes(path: str) -> None:
    assert at_home(portable(cluster(replace(SPEC, path=path))), "/srv/models").path == path


def test_boxes_with_the_same_entry_and_files_agree() -> None:
    there = replace(
        SPEC, path="/srv/org--chat/model.gguf", cache="", threads=8, device="cuda", created=5
    )
    assert digest_of(cluster()) == digest_of(cluster(there, models_dir="/srv"))


@pytest.mark.parametrize(
    "changed",
    [
        replace(SPEC, slots=5),
        replace(SPEC, replicas=2),
        replace(SPEC, facts=FileFacts(digest="abd")),
    ],
)
def test_what_is_served_otherwise_is_told_from_it(changed: Spec) -> None:
    assert digest_of(cluster()) != digest_of(cluster(changed))


def test_no_two_models_share_an_application() -> None:
    names = ["org/chat", "org-chat", "org.chat", "org/chat:a", "x" * 60, "x" * 61]
    apps = {app_of(name) for name in names}
    assert len(apps) == len(names)
    assert all(app.replace("-", "").isalnum() and len(app) < 50 for app in apps)
