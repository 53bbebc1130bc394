"""The lines of a start on a terminal, from what happens in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ipc.messages.control import AccessConfig, Serve
from ipc.messages.keys import ApiKey
from ipc.messages.spec import Spec
from supervisor.greeting import Greeting, command
from supervisor.plan import Plan

URL = "http://127.0.0.1:8000"
SPECS = [
    Spec(name=name, task=task, engine="echo", path="")  # type: ignore[arg-type]
    for name, task in [("acme/chat", "chat"), ("acme/embed-small", "embed")]
]


def greeting(*, port: int = 8000, specs: list[Spec] = SPECS, **more: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    times = iter([0.0, 1.0, 2.5, 4.0])
    serve = Serve(specs=specs, gate=more.pop("gate", AccessConfig()))
    plan = Plan(host="127.0.0.1", port=port, run_dir="/x", serve=serve, **{"greet": True, **more})
    return Greeting(plan, said.append, lambda: next(times)), said


def test_a_start_is_the_address_each_model_and_what_to_try() -> None:
    one, said = greeting()
    one.on_ready("acme/embed-small")  # before the frontend: told after the address all the same
    one.on_listening(URL)
    one.on_ready("acme/chat")
    one.on_all_ready(URL, 8000)
    assert said == [
        f"edge-serve listens on {URL}; Ctrl-C stops it",
        "  acme/embed-small  embed   ready in 1.0 s",
        "  acme/chat         chat    ready in 2.5 s",
        f"try in another terminal: {command()} chat",
    ]


def test_where_clients_of_other_protocols_find_it_is_told_too() -> None:
    one, said = greeting()
    one.on_listening(URL, "http://127.0.0.1:11434", "tcp://127.0.0.1:10300")
    assert said[1:3] == [
        "with Ollama's API on http://127.0.0.1:11434",
        "for voice assistants, by Wyoming, on tcp://127.0.0.1:10300",
    ]


def test_what_is_replaced_later_is_not_greeted_again() -> None:
    one, said = greeting()
    for _ in range(2):
        one.on_listening(URL)
        one.on_ready("acme/chat")
    one.on_ready("acme/joined-later")
    assert len(said) == 2


@pytest.mark.parametrize(
    ("port", "gate", "specs", "line"),
    [
        (9000, AccessConfig(), SPECS, f"try in another terminal: {command()} chat --port 9000"),
        (
            8000,
            AccessConfig(api_keys={"a": ApiKey(digest="00")}),
            SPECS,
            f"try in another terminal: EDGE_SERVE_API_KEY=... {command()} chat",
        ),
        (
            8000,
            AccessConfig(),
            SPECS[1:],
            f"try: curl {URL}/v1/embeddings -H 'Content-Type: application/",
        ),
    ],
)
def test_what_to_try_works_as_it_stands(
    port: int, gate: AccessConfig, specs: list[Spec], line: str
) -> None:
    one, said = greeting(port=port, gate=gate, specs=specs)
    one.on_all_ready(URL, port)
    assert said[0].startswith(line)


def test_stopping_says_how_long_it_may_take_and_how_to_hurry() -> None:
    one, said = greeting(drain_s=30.0)
    one.on_stop(again=False)
    one.on_stop(again=True)
    assert said == [
        "stopping: unfinished answers end within 30 s; Ctrl-C again ends them now",
        "ending unfinished answers now",
    ]


def test_unasked_it_says_nothing() -> None:
    one, said = greeting(greet=False)
    one.on_listening(URL)
    one.on_stop(again=False)
    assert said == []


def test_what_to_type_is_found_where_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Path(__file__).parents[3]
    monkeypatch.chdir(checkout)
    assert command() == "bin/edge-serve"
    monkeypatch.chdir(tmp_path)
    assert command() == str(checkout / "bin/edge-serve")
    monkeypatch.setattr("supervisor.greeting._LAUNCHER", tmp_path / "none")  # from a wheel
    assert command() == "edge-serve"
