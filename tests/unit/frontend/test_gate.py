"""Forms that cannot be kept are refused before any worker hears of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from frontend.grammar import gate
from frontend.grammar.gate import AskedForm, Gate
from ipc.messages.errors import InvalidRequest, QueueFull
from ipc.messages.jobs import Form, Json, Regex
from tests.unit.frontend.http_fakes import FakeDispatcher, application, says

CHAT = "/v1/chat/completions"
HI = {"model": "org/chat", "messages": [{"role": "user", "content": "hi"}]}
GOOD = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.fixture
def fake() -> FakeDispatcher:
    return FakeDispatcher(says("{}"))


@pytest.fixture
def client(fake: FakeDispatcher) -> Iterator[TestClient]:
    with TestClient(application(fake)) as client:
        yield client


def schema_format(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, **more}}


BAD: list[tuple[Any, str]] = [
    ({"not": {}}, "#/not is not supported"),
    ({"if": {}, "then": {}}, "#/if is not supported"),
    ({"type": "array", "uniqueItems": True}, "#/uniqueItems is not supported"),
    ({"type": "integer", "multipleOf": 2}, "#/multipleOf is not supported"),
    ({"type": "array", "contains": {}}, "#/contains is not supported"),
    ({"dependentRequired": {}}, "#/dependentRequired is not supported"),
    ({"propertyNames": {}}, "#/propertyNames is not supported"),
    ({"unevaluatedProperties": False}, "#/unevaluatedProperties is not supported"),
    ({"minProperties": 1}, "#/minProperties is not supported"),
    ({"$ref": "https://example.org"}, "#/$ref leads outside of this schema"),
    ({"$ref": "#/$defs/a"}, "#/$ref leads nowhere: #/$defs/a"),
    ({"$ref": "#"}, "#/$ref leads back to itself"),
    ({"type": "text"}, "#/type must be of object, array"),
    ({"enum": []}, "#/enum is empty"),
    (False, "# admits no value"),
    ({"type": "integer", "minimum": 2, "maximum": 1}, "# has a minimum above its maximum"),
    ({"type": "string", "pattern": "(?!a)"}, "#/pattern looks around"),
    ({"type": "string", "format": "zip"}, "#/format must be of date"),
    ({"type": "string", "maxLength": 100_000}, "#/maxLength is 100000; at most 4096"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "#/oneOf has options that may hold"),
    (
        {"type": "object", "required": ["b"], "additionalProperties": False},
        "#/required names 'b', which is not allowed",
    ),
    (
        {"properties": {"a/b": {"items": {"not": {}}}}},
        "#/properties/a~1b/items/not is not supported",
    ),
    ({"enum": [*range(1001)]}, "# has 1001 properties and enum values; at most 1000"),
    (json.loads("[" * 200 + "]" * 200), ""),
]


def test_bad_schemas_in_a_row(client: TestClient, fake: FakeDispatcher) -> None:
    for schema, why in BAD:
        answer = client.post(CHAT, json={**HI, "response_format": schema_format(schema)})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "invalid_value"), schema
        assert error["param"] == "response_format.json_schema.schema"
        assert why in error["message"]
    assert fake.asked == []


def test_a_form_goes_to_the_model(client: TestClient, fake: FakeDispatcher) -> None:
    answer = client.post(CHAT, json={**HI, "response_format": schema_format(GOOD)})
    assert answer.status_code == 200
    assert "x-schema-dropped" not in answer.headers
    [asked] = fake.asked
    assert asked.form == Json(schema=json.dumps(GOOD, separators=(",", ":")))


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_dropped_is_said(client: TestClient, stream: bool) -> None:
    schema = {"properties": {"a, b": {"not": {}}, "ü/": {"type": "array", "uniqueItems": True}}}
    form = schema_format(schema, strict=False)
    answer = client.post(CHAT, json={**HI, "response_format": form, "stream": stream})
    assert answer.status_code == 200
    assert answer.headers["x-schema-dropped"] == (
        "#/properties/a%2C%20b/not, #/properties/%C3%BC~1/uniqueItems"
    )


@pytest.mark.parametrize(
    ("choice", "status"), [("auto", 200), ("none", 200), ("required", 400), (None, 200)]
)
def test_arguments_that_bind_go_through_the_gate(
    client: TestClient, choice: str | None, status: int
) -> None:
    tool = {"name": "f", "parameters": {"type": "object", "properties": []}}
    body = {**HI, "tools": [{"type": "function", "function": tool}], "tool_choice": choice}
    answer = client.post(CHAT, json=body)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["param"] == "tools[0].function.parameters"


def test_a_form_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    judge = gate._judge

    def watched(form: Form) -> Any:
        seen.append(form)
        return judge(form)

    monkeypatch.setattr(gate, "_judge", watched)

    async def main() -> None:
        one = Gate()
        for _ in range(3):
            assert await one.check([AskedForm(Regex(pattern="a+"), "regex")]) == ()
            with pytest.raises(InvalidRequest):
                await one.check([AskedForm(Regex(pattern="("), "regex")])

    asyncio.run(main())
    assert seen == [Regex(pattern="a+"), Regex(pattern="(")]


def test_nobody_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "DEADLINE_S", 0.05)
    monkeypatch.setattr(gate, "MAX_WAITING", 2)
    monkeypatch.setattr(gate, "_judge", lambda _: time.sleep(0.2))

    async def main() -> None:
        one = Gate()
        asked = [one.check([AskedForm(Regex(pattern=str(n)), "regex")]) for n in range(3)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(result) for result in results] == [QueueFull] * 3

    asyncio.run(main())
