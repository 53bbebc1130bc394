"""/v1/files and /v1/batches: what is told, what is refused, and who sees what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from frontend.api.batch.answers import BatchObject, FileObject
from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.unit.frontend.batches.box import ENDPOINT, box, happens, line, play
from tests.unit.frontend.http_fakes import FakeDispatcher, application, silent

GATE = AccessConfig(api_keys={name: ApiKey.of(name) for name in ("ann", "bob")})
ANN, BOB = ({"authorization": f"Bearer {name}"} for name in ("ann", "bob"))


def test_a_file_is_kept_told_given_back_and_deleted(tmp_path: Path) -> None:
    async def scene() -> None:
        content = b"x" * 300_000 + b"\xff\n"
        async with box(tmp_path / "b") as one:
            told = (await one.upload(content)).json()
            FileObject.model_validate(told)
            assert (told["bytes"], told["filename"], told["purpose"]) == (
                len(content),
                "a.jsonl",
                "batch",
            )
            path = f"/v1/files/{told['id']}"
            assert (await one.client.get(path)).json() == told
            answer = await one.client.get(f"{path}/content")
            assert answer.content == content
            assert answer.headers["content-type"] == "application/octet-stream"
            assert (await one.client.delete(path)).json() == {
                "id": told["id"],
                "object": "file",
                "deleted": True,
            }
            for gone in (path, f"{path}/content"):
                assert (await one.client.get(gone)).status_code == 404
            assert (await one.client.delete(path)).json()["error"]["code"] == "not_found"
            assert not [*(tmp_path / "b" / "files").iterdir()]
            assert not [*(tmp_path / "b" / "uploads").iterdir()]

    play(scene)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "fine-tune"}, "purpose"),
        ({"purpose": "batch", "expires_after[seconds]": "3600"}, "expires_after"),
    ],
)
def test_what_is_not_done_with_files_is_refused_by_name(
    tmp_path: Path, fields: dict[str, str], param: str
) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b") as one:
            refused = await one.upload(b"{}", **fields)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
            without = await one.client.post(
                "/v1/files", data={"purpose": "batch"}, files={"other": ("a", b"{}")}
            )
            assert without.json()["error"]["param"] == "file"
            assert (await one.client.get("/v1/files")).json()["data"] == []
            assert not [*(tmp_path / "b" / "uploads").iterdir()]

    play(scene)


@pytest.mark.parametrize("config", [{"max_file_bytes": 1000}, {"storage_bytes": 1000}])
def test_a_file_that_is_too_large_is_not_kept(tmp_path: Path, config: dict[str, Any]) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b", **config) as one:
            assert (await one.upload(b"x" * 100_000)).status_code == 413
            assert (await one.upload(b"x" * 1001)).status_code == 413
            assert (await one.upload(b"x" * 100)).status_code == 200
            assert not [*(tmp_path / "b" / "uploads").iterdir()]

    play(scene)


def test_lists_are_told_in_pages_newest_first(tmp_path: Path) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b", FakeDispatcher(silent)) as one:
            batches = [await one.begin(line("a")) for _ in range(5)]
            ids = [batch["id"] for batch in reversed(batches)]
            first = (await one.client.get("/v1/batches?limit=2")).json()
            assert [each["id"] for each in first["data"]] == ids[:2]
            assert (first["first_id"], first["last_id"], first["has_more"]) == (*ids[:2], True)
            rest = (await one.client.get(f"/v1/batches?after={ids[1]}")).json()
            assert [each["id"] for each in rest["data"]] == ids[2:]
            assert rest["has_more"] is False
            files = (await one.client.get("/v1/files?order=asc&purpose=batch&limit=3")).json()
            assert [each["id"] for each in files["data"]] == [
                batch["input_file_id"] for batch in batches[:3]
            ]
            assert (await one.client.get("/v1/files?purpose=batch_output")).json()["data"] == []
            for wrong in ("limit=0", "limit=101", "limit=x", "limit=1.5", "after="):
                assert (await one.client.get(f"/v1/batches?{wrong}")).status_code == 400
            assert (await one.client.get("/v1/batches?after=batch_no")).status_code == 404
            assert (await one.client.get("/v1/files?order=up")).status_code == 400

    play(scene)


@pytest.mark.parametrize(
    ("changes", "status", "param"),
    [
        ({"input_file_id": "file-none"}, 404, "input_file_id"),
        ({"endpoint": "/v1/audio/transcriptions"}, 400, "endpoint"),
        ({"completion_window": "1h"}, 400, "completion_window"),
        ({"metadata": {"x" * 65: "y"}}, 400, None),
        ({"metadata": {str(number): "" for number in range(17)}}, 400, "metadata"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 1}},
            400,
            "output_expires_after",
        ),
    ],
)
def test_a_batch_is_refused_by_the_name_of_what_is_wrong(
    tmp_path: Path, changes: dict[str, Any], status: int, param: str | None
) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b") as one:
            file = (await one.upload(line("a"))).json()
            asked = {
                "input_file_id": file["id"],
                "endpoint": ENDPOINT,
                "completion_window": "24h",
            }
            refused = await one.client.post("/v1/batches", json={**asked, **changes})
            assert refused.status_code == status
            assert param is None or refused.json()["error"]["param"] == param

    play(scene)


def test_a_file_that_a_batch_reads_is_not_deleted_and_results_are_no_requests(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b", FakeDispatcher(silent)) as one:
            batch = await one.begin(line("a"))
            BatchObject.model_validate(batch)
            path = f"/v1/files/{batch['input_file_id']}"
            refused = await one.client.delete(path)
            assert refused.status_code == 400
            assert batch["id"] in refused.json()["error"]["message"]
            await happens(lambda: one.fake.asked)
            await one.client.post(f"/v1/batches/{batch['id']}/cancel")
            await one.until(batch, "cancelled")
            assert (await one.client.delete(path)).status_code == 200

    play(scene)


def test_what_one_key_has_made_no_other_sees(tmp_path: Path) -> None:
    async def scene() -> None:
        async with box(tmp_path / "b", gate=GATE, headers=ANN) as one:
            batch = await one.until(await one.begin(line("a")), "completed")
            mine = (await one.client.get("/v1/files")).json()["data"]
            assert {file["id"] for file in mine} == {
                batch["input_file_id"],
                batch["output_file_id"],
            }
            one.client.headers = BOB
            for what in ("files", "batches"):
                assert (await one.client.get(f"/v1/{what}")).json()["data"] == []
            for path in (f"files/{batch['output_file_id']}", f"batches/{batch['id']}"):
                assert (await one.client.get(f"/v1/{path}")).status_code == 404
            cancelled = await one.client.post(f"/v1/batches/{batch['id']}/cancel")
            assert cancelled.status_code == 404
            asked = {
                "input_file_id": batch["input_file_id"],
                "endpoint": ENDPOINT,
                "completion_window": "24h",
            }
            assert (await one.client.post("/v1/batches", json=asked)).status_code == 404
            one.client.headers = {}
            assert (await one.client.get("/v1/files")).status_code == 401

    play(scene)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/files", "GET, HEAD, POST"),
        ("/v1/files/x", "DELETE, GET, HEAD"),
        ("/v1/batches/x/cancel", "POST"),
    ],
)
def test_a_path_of_several_methods_names_them_all(path: str, methods: str) -> None:
    with TestClient(application(FakeDispatcher())) as client:
        assert client.options(path).headers["allow"] == methods
        wrong = client.put(path)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, methods)


@pytest.mark.parametrize("path", ["/v1/files", "/v1/batches", "/v1/files/x", "/v1/batches/x"])
def test_without_a_state_folder_it_is_said_what_is_missing(path: str) -> None:
    with TestClient(application(FakeDispatcher())) as client:
        answer = client.get(path)
    assert answer.status_code == 503
    assert "set EDGE_SERVE_STATE_DIR" in answer.json()["error"]["message"]
