"""The unit file under a real systemd: who is told what, and what it does about what breaks.

Needs root and a systemd to start, which runs in namespaces of its own. Where the unified tree of
cgroups has no memory controller, the limits on memory stay unproven.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.fake_hub import FakeHub
from tests.ports import free_port
from tests.process.box import CHAT, wait_until
from tests.process.test_pulls import WEIGHTS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SYSTEMD = Path("/lib/systemd/systemd")
UNIT = "edge-serve"
TESTING = {"EDGE_SERVE_TEST_ENGINES": "1"}
# The unit's WatchdogSec, and as long again for the restart.
WATCHDOG_S = 60.0
NAMESPACES = ["--pid", "--fork", "--mount", "--mount-proc", "--uts", "--ipc"]


def missing() -> str | None:
    """What these tests lack here."""
    if os.geteuid() != 0 or not SYSTEMD.exists() or shutil.which("nsenter") is None:
        return "there is no systemd, or no right to start one"
    if subprocess.run(["unshare", *NAMESPACES, "true"], check=False).returncode:
        return "namespaces cannot be made here"
    return None


pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif((why := missing()) is not None, reason=str(why)),
]


class Service:
    """A systemd with the unit of this checkout. ``units`` is its /etc/systemd/system."""

    def __init__(self, units: Path) -> None:
        self.units = units
        keep = [str(ROOT), sys.base_prefix]
        script = [str(HERE / "systemd.sh"), str(units), *keep]
        self.unshare = psutil.Popen(["unshare", *NAMESPACES, *script])
        self.port = free_port()
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        wait_until(lambda: self.run("systemctl", "is-system-running").stdout == "running\n")

    def run(self, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside that systemd."""
        (systemd,) = wait_until(self.unshare.children)
        return subprocess.run(
            ["nsenter", "--target", str(systemd.pid), "--all", *argv],
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def install(self, *options: str, **env: str) -> None:
        """Skips the test where no unprivileged service can read this checkout. ``env`` is what the
        service is given beside."""
        settings = {"EDGE_SERVE_CONFIG": str(HERE / "echo.yaml"), "MODELS": CHAT}
        command = [sys.executable, "-P", "-m", "supervisor.cli", "install-service", *options]
        done = self.run(*command, **settings, **TESTING, PORT=str(self.port))
        if done.returncode == os.EX_CONFIG:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        given = [f"Environment={name}={value}" for name, value in (env | TESTING).items()]
        more = self.units / f"{UNIT}.service.d"
        more.mkdir()
        (more / "test.conf").write_text("\n".join(["[Service]", *given, ""]))
        assert self.run("systemctl", "daemon-reload").returncode == 0

    def show(self, fact: str) -> str:
        return self.run("systemctl", "show", UNIT, "--value", "--property", fact).stdout.strip()

    def pids(self) -> set[int]:
        """The unit's processes, by their numbers in its namespace."""
        tasks = f"/sys/fs/cgroup{self.show('ControlGroup')}/cgroup.procs"
        return {int(pid) for pid in self.run("cat", tasks).stdout.split()}

    def ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def chat(self, text: str, **body: Any) -> httpx2.Response:
        messages = [{"role": "user", "content": text}]
        return self.client.post(
            "/v1/chat/completions", json={"model": CHAT, "messages": messages, **body}
        )

    def close(self) -> None:
        self.client.close()
        for systemd in self.unshare.children():
            systemd.kill()  # and with the first process of a namespace, all others
        self.unshare.wait()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    try:
        made.install()
        assert made.run("systemctl", "start", UNIT).returncode == 0
        wait_until(made.ready)
        yield made
    finally:
        made.close()


def test_it_says_when_it_is_ready_and_how_much_is(service: Service) -> None:
    assert service.show("ActiveState") == "active"
    wait_until(lambda: service.show("StatusText") == "1 of 1 models ready")
    assert service.show("DynamicUser") == "yes"
    assert service.chat("hello").json()["choices"][0]["message"]["content"] == "hello"


def test_killed_it_comes_back_and_nothing_of_it_is_left(service: Service) -> None:
    assert service.chat("/daemon x").status_code == 200  # two that are in sessions of their own
    before = service.pids()
    assert len(before) >= 5
    service.run("kill", "-KILL", service.show("MainPID"))
    wait_until(lambda: service.show("NRestarts") == "1")
    wait_until(service.ready)
    assert not before & service.pids()


def test_a_supervisor_that_hangs_is_restarted(service: Service) -> None:
    before = service.show("MainPID")
    service.run("kill", f"-{int(signal.SIGSTOP)}", before)
    wait_until(lambda: service.show("MainPID") not in (before, "0"), WATCHDOG_S)
    wait_until(service.ready)
    assert service.show("NRestarts") == "1"


def test_stopped_it_lets_a_stream_end(service: Service) -> None:
    body = {"model": CHAT, "stream": True}
    messages = [{"role": "user", "content": "/slow 200 " + "word " * 9}]
    with service.client.stream(
        "POST", "/v1/chat/completions", json=body | {"messages": messages}
    ) as stream:
        lines = stream.iter_lines()
        next(lines)
        assert service.run("systemctl", "stop", UNIT).returncode == 0
        assert list(lines)[-2] == "data: [DONE]"
    assert (service.show("Result"), service.show("ActiveState")) == ("success", "inactive")


def test_one_that_pulls_has_a_folder_for_it_that_its_workers_cannot_change(
    tmp_path: Path,
) -> None:
    hub = FakeHub(tmp_path / "hub")
    hub.put("acme/one", {"one-Q8_0.gguf": WEIGHTS})
    units = tmp_path / "units"
    units.mkdir()
    made = Service(units)
    try:
        with hub.running() as url:
            made.install("--pulls", HF_ENDPOINT=url)
            assert made.run("systemctl", "start", UNIT).returncode == 0
            wait_until(made.ready)
            asked = made.client.post("/admin/pulls", json={"source": "hf:acme/one"})
            place = f"/admin/pulls/{asked.json()['id']}"
            wait_until(lambda: made.client.get(place).json()["state"] not in ("waiting", "running"))
            assert made.client.get(place).json()["state"] == "finished", made.client.get(place).text
        pulled = "/var/lib/edge-serve-models/acme--one/one-Q8_0.gguf"
        assert made.run("stat", "-L", "-c", "%s", pulled).stdout.strip() == str(len(WEIGHTS))
        # Both have the same user and see the same folders; what differs is what a worker gave up.
        assert "not_confined" not in made.client.get("/admin/logs/chat-1").text
        worker = made.run("pgrep", "-f", "worker --control").stdout.split()[0]
        arguments = made.run("cat", f"/proc/{worker}/cmdline").stdout.split("\0")
        folder = arguments[arguments.index("--read-only") + 1]
        assert folder.endswith("/edge-serve-models")
    finally:
        made.close()
