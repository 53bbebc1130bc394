"""Ollama's own library pulls a model, finds it and deletes it. Arguments: URL NAME."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import ollama


def main(url: str, name: str) -> None:
    client = ollama.Client(host=url)
    plain = name.removeprefix("hf.co/")
    assert plain not in listed(client)
    steps = list(client.pull(name, stream=True))
    assert (steps[0].status, steps[-1].status) == ("pulling manifest", "success")
    bars = [step for step in steps if step.digest]
    assert bars, steps
    assert bars[0].status == f"pulling {bars[0].digest.removeprefix('sha256:')[:12]}"
    assert {step.total for step in bars} == {bars[0].total}
    assert [step.completed for step in bars] == sorted(step.completed for step in bars)
    assert plain in listed(client)
    assert client.pull(name).status == "success"  # it is here
    assert client.show(name).details.format == "gguf"
    assert client.delete(name).status == "success"
    assert plain not in listed(client)
    assert client.pull(name).status == "success"  # without a stream
    assert plain in listed(client)
    for wrong in ("hf.co/acme/none", "llama3.2"):
        assert refusal(partial(client.pull, wrong)).status_code == 400
    failed = refusal(lambda: list(client.pull("hf.co/acme/none", stream=True)))
    assert "does not exist" in str(failed)


def refusal(ask: Callable[[], object]) -> ollama.ResponseError:
    try:
        ask()
    except ollama.ResponseError as error:
        return error
    raise AssertionError("it was not refused")


def listed(client: ollama.Client) -> list[str]:
    return [model.model for model in client.list().models]


if __name__ == "__main__":
    main(*sys.argv[1:])
