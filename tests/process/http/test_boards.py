"""What the boards and alerts in configs/ read is there on a running box."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.process.box import Box

CONFIGS = Path(__file__).parents[3] / "configs"
ALERTS = CONFIGS / "prometheus" / "alerts.yaml"
BOARD = CONFIGS / "grafana" / "edge-serve.json"
_NAME = re.compile(r"\b(?:edge_serve|chat|embedding|audio)_\w+\b")


def expressions() -> list[str]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    told = [rule["expr"] for group in groups for rule in group["rules"]]
    panels = json.loads(BOARD.read_text())["panels"]
    return told + [target["expr"] for panel in panels for target in panel["targets"]]


def test_each_metric_that_is_read_is_served(box: Box) -> None:
    box.chat("hello there")
    box.chat("hello there", stream=True).read()
    served = {
        line.partition("{")[0].split(" ")[0]
        for line in box.client.get("/metrics").text.splitlines()
        if not line.startswith("#")
    }
    named = {name for told in expressions() for name in _NAME.findall(told)}
    assert len(named) > 15
    assert named <= served
    assert "vllm:request_success_total" in served


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")
@pytest.mark.parametrize("words", [("check", "alerts.yaml"), ("test", "alerts_test.yaml")])
def test_promtool_finds_the_rules_in_order(words: tuple[str, str]) -> None:
    what, file = words
    command = ["promtool", what, "rules", file]
    done = subprocess.run(command, cwd=ALERTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
