"""Files and batches by the official SDK, with its defaults, on real models."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import Batch

from tests.contract.served import Running
from tests.contract.subjects import MINILM, SMOLLM2

ENDED = ("completed", "failed", "expired", "cancelled")
DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
        yield client


def chat(name: str, **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Say {name}."}]
    asked = {"model": SMOLLM2, "messages": messages, "max_tokens": 8, "temperature": 0, **body}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": asked}


def begin(client: OpenAI, lines: list[dict[str, Any]]) -> Batch:
    content = "\n".join(map(json.dumps, lines)).encode()
    file = client.files.create(file=("lines.jsonl", content), purpose="batch")
    assert client.files.content(file.id).read() == content
    endpoint: Any = lines[0]["url"]
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"a": "b"}
    )


def ended(client: OpenAI, batch: Batch) -> Batch:
    end_at = time.monotonic() + DEADLINE_S
    while (now := client.batches.retrieve(batch.id)).status not in ENDED:
        assert time.monotonic() < end_at, now
        time.sleep(0.1)
    return now


def lines_of(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    assert file_id is not None
    lines = [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
    return {line["custom_id"]: line["response"] for line in lines}


def test_a_batch_of_chats_with_one_bad_line(client: OpenAI) -> None:
    lines = [*(chat(f"word {number}") for number in range(12)), chat("bad", temperature=9)]
    batch = ended(client, begin(client, lines))
    assert batch.status == "completed"
    assert batch.metadata == {"a": "b"}
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {"total": 13, "completed": 12, "failed": 1}
    found = lines_of(client, batch.output_file_id)
    assert found.keys() == {f"word {number}" for number in range(12)}
    asked: Any = lines[3]["body"]
    alone = client.chat.completions.create(**asked)
    body = found["word 3"]["body"]
    assert body["choices"][0]["message"]["content"] == alone.choices[0].message.content
    assert body["usage"]["completion_tokens"] > 0
    wrong = lines_of(client, batch.error_file_id)["bad"]
    assert (wrong["status_code"], wrong["body"]["error"]["param"]) == (400, "temperature")
    assert batch.id in {each.id for each in client.batches.list(limit=1)}


def test_a_batch_of_embeddings(client: OpenAI) -> None:
    lines = [
        {
            "custom_id": str(number),
            "method": "POST",
            "url": "/v1/embeddings",
            "body": {"model": MINILM, "input": f"text {number}"},
        }
        for number in range(20)
    ]
    found = lines_of(client, ended(client, begin(client, lines)).output_file_id)
    alone = client.embeddings.create(model=MINILM, input="text 7").data[0].embedding
    assert found["7"]["body"]["data"][0]["embedding"] == pytest.approx(alone, abs=1e-4)
    assert len(found) == 20


def test_a_line_that_streams_is_refused_with_its_file(client: OpenAI) -> None:
    batch = ended(client, begin(client, [chat("a"), chat("b", stream=True)]))
    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    (problem,) = batch.errors.data
    assert (problem.line, problem.param) == (2, "body.stream")


def test_a_batch_that_is_cancelled_ends(client: OpenAI) -> None:
    batch = begin(client, [chat(str(number), max_tokens=500) for number in range(40)])
    assert client.batches.cancel(batch.id).status == "cancelling"
    assert ended(client, batch).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        client.batches.cancel(batch.id)


def test_files_are_listed_and_deleted(client: OpenAI) -> None:
    file = client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert file.id in {each.id for each in client.files.list(purpose="batch")}
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)
