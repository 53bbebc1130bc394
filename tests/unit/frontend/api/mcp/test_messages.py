"""JSON-RPC as the Model Context Protocol has it, in both of its forms."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.api.mcp.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    RpcError,
    read,
)
from ipc.program import program_version

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
CALL: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "chat", "_meta": META},
}
HEADERS = {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "chat",
}


def refusal(data: dict[str, Any], headers: dict[str, str]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        read(data, headers)
    return caught.value


@pytest.mark.parametrize(
    "changes",
    [
        {"jsonrpc": "1.0"},
        {"method": 7},
        {"id": None},
        {"id": True},
        {"id": 1.5},
        {"params": []},
    ],
)
def test_what_is_no_message_is_refused(changes: dict[str, Any]) -> None:
    assert refusal({**CALL, **changes}, {}).code == INVALID_REQUEST


def test_a_client_that_names_no_revision_is_one_of_before_there_was_a_header() -> None:
    call = read({"jsonrpc": "2.0", "id": "a", "method": "tools/list"}, {})
    assert (call.version, call.is_modern, call.reply({"tools": []})["result"]) == (
        "2025-03-26",
        False,
        {"tools": []},
    )


def test_a_message_without_an_id_is_a_notification() -> None:
    assert read({"jsonrpc": "2.0", "method": "notifications/initialized"}, {}).id is None


def test_an_unknown_revision_is_answered_with_those_that_are_known() -> None:
    error = refusal(CALL, {**HEADERS, "mcp-protocol-version": "2031-01-01"})
    assert error.code == UNSUPPORTED_VERSION
    assert error.data["requested"] == "2031-01-01"
    assert error.data["supported"][-2:] == ["2025-11-25", "2026-07-28"]


def test_a_request_of_now_says_all_that_there_is_to_know() -> None:
    result = read(CALL, HEADERS).reply({"content": []})["result"]
    assert result["resultType"] == "complete"
    told = result["_meta"]["io.modelcontextprotocol/serverInfo"]
    assert told == {"name": "edge-serve", "title": "edge-serve", "version": program_version()}


@pytest.mark.parametrize("missing", META)
def test_one_that_leaves_some_of_it_out_is_refused(missing: str) -> None:
    meta = {name: value for name, value in META.items() if name != missing}
    call = {**CALL, "params": {"name": "chat", "_meta": meta}}
    assert refusal(call, HEADERS).code == INVALID_PARAMS


@pytest.mark.parametrize("header", ["mcp-method", "mcp-name"])
@pytest.mark.parametrize("value", [None, "speak"])
def test_a_header_that_says_otherwise_than_the_body_is_refused(
    header: str, value: str | None
) -> None:
    headers = {name: given for name, given in HEADERS.items() if name != header}
    error = refusal(CALL, headers if value is None else {**headers, header: value})
    assert error.code == HEADER_MISMATCH


def test_a_name_may_be_wrapped_for_its_header() -> None:
    call = {**CALL, "params": {"name": "größe", "_meta": META}}
    assert read(call, {**HEADERS, "mcp-name": "=?base64?Z3LDtsOfZQ==?="}).params["name"] == "größe"
    for wrong in ("=?base64?%%?=", "=?base64?/w==?=", "größe?"):
        assert refusal(call, {**HEADERS, "mcp-name": wrong}).code == HEADER_MISMATCH


def test_only_now_a_failure_has_a_status_of_its_own() -> None:
    error = RpcError(METHOD_NOT_FOUND, "no such method")
    assert read(CALL, HEADERS).refusal(error)[0] == 404
    status, body = read({"jsonrpc": "2.0", "id": 1, "method": "x"}, {}).refusal(error)
    assert (status, body["id"], body["error"]["code"]) == (200, 1, METHOD_NOT_FOUND)


def test_progress_is_told_to_who_wants_to_know() -> None:
    assert read(CALL, HEADERS).progress(15.0) is None
    asked = {**CALL, "params": {"name": "chat", "_meta": {**META, "progressToken": "p"}}}
    told = read(asked, HEADERS).progress(15.04)
    assert told is not None
    assert told["params"] == {"progressToken": "p", "progress": 15.0}
