"""Keys and certificates from end to end: a guarded server, and the command that looks into it."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest

from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.process.box import EMBED, Box, MakeBox, spec, wait_until
from tests.process.http.raw_http import Raw

KEY = "sk-canary-0123456789abcdef"
DIGESTS = {"ann": ApiKey.of(KEY)}


def status(box: Box, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`edge-serve status` of ``box``, with no other settings than these."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "supervisor.cli", "status", *arguments],
        env={"PATH": os.environ["PATH"], "PORT": str(box.port), **environment},
        cwd=box.run_dir,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_guarded_server_opens_to_its_key_only(make_box: MakeBox) -> None:
    box = make_box(spec(EMBED), gate=AccessConfig(api_keys=DIGESTS, hosts=["127.0.0.1"]))
    wait_until(lambda: box.ask("/livez") == 200)
    assert box.ask("/readyz") == 401
    assert box.embed("x").status_code == 401
    box.client.headers["authorization"] = f"Bearer {KEY}"
    box.wait_ready()
    assert box.embed("x").status_code == 200
    assert box.client.get("/v1/models", headers={"host": "evil.example"}).status_code == 403

    refused = status(box)
    assert refused.returncode == 1
    assert "wants an API key; put one into EDGE_SERVE_API_KEY" in refused.stderr
    unknown = status(box, EDGE_SERVE_API_KEY="x" * 40)
    assert "does not know the API key in EDGE_SERVE_API_KEY" in unknown.stderr
    shown = status(box, EDGE_SERVE_API_KEY=KEY)
    assert (shown.returncode, shown.stdout.partition(",")[0]) == (0, f"{box.url}: ok")

    wait_until(lambda: any("key=ann" in line for line in box.lines()))
    assert KEY not in box.log.read_text()
    for process in [psutil.Process(box.process.pid), *box.family()]:
        assert KEY not in repr(process.environ()) + repr(process.cmdline())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate")
def test_with_a_certificate_it_speaks_https_only(make_box: MakeBox, tmp_path: Path) -> None:
    made, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run(
        [*command, "-days", "2", "-keyout", key, "-out", made], check=True, capture_output=True
    )
    gate = AccessConfig(ssl_certfile=made, ssl_keyfile=key)
    box = make_box(spec(EMBED), gate=gate)
    trust = ssl.create_default_context(cafile=made)
    with httpx2.Client(
        base_url=f"https://localhost:{box.port}", verify=trust, timeout=60
    ) as client:

        def ready() -> bool:
            try:
                return client.get("/readyz").status_code == 200
            except httpx2.TransportError:
                return False

        wait_until(ready)
        mute, foreign = Raw(box.port), Raw(box.port).send(b"GET /livez HTTP/1.1\r\n\r\n")
        answer = client.post("/v1/embeddings", json={"model": EMBED, "input": "x"})
        assert answer.status_code == 200
    assert box.ask("/livez") is None

    assert status(box, SSL_CERTFILE=made, SSL_KEYFILE=key).returncode == 0
    by_name = ("--url", f"https://localhost:{box.port}")
    assert status(box, *by_name, SSL_CERTFILE=made).returncode == 0
    refused = status(box, *by_name)
    assert refused.returncode == 1
    assert "its certificate is not trusted (self-signed certificate); set SSL_C" in refused.stderr
    refused = status(box, "--url", f"https://127.0.0.1:{box.port}", SSL_CERTFILE=made)
    assert "write a name that is in its certificate into --url" in refused.stderr
    assert "write https:// in --url" in status(box, "--url", box.url).stderr
    assert "it holds no certificate" in status(box, *by_name, SSL_CERTFILE=key).stderr

    with mute, foreign:  # neither says hello in TLS
        assert b"HTTP" not in foreign.read_all() + mute.read_all()
