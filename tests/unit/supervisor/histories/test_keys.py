"""API keys that operators add, change and remove while the server runs, as the loop grants them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from ipc.messages.admin import AddKey, KeyWish, ListKeys, RemoveKey, SetKey
from ipc.messages.control import AccessConfig, Reconfigure
from ipc.messages.errors import Conflict, InvalidRequest, NotFound
from ipc.messages.keys import ApiKey, KeyChange, digest_of
from supervisor.keys.text import digest_of as digest_of_text
from supervisor.plan import Origin
from tests.unit.supervisor.histories.test_reload import asks, found
from tests.unit.supervisor.histories.world import EMBED, World, reads, refused, run, told, wishes

ROOT = ApiKey.of("root-secret", "admin")
FILE = f"# for people\nroot:root-secret:admin\n\n# the box upstairs\nbob:sha256={digest_of('b')}\n"
ORIGIN = Origin(keys_file="/etc/keys", keys_digest=digest_of_text(FILE))
RUNS = ["frontend.1 <- reconfigure", "frontend.1 <- told 1"]
REFUSES = ["frontend.1 <- told 1"]
SAM = KeyChange(digest=digest_of("sam"), requests_per_min=60, models=["a", "b"])


def server(file: str = "/etc/keys", **keys: ApiKey) -> World:
    """One whose keys are those of `FILE`, and ``keys`` from elsewhere."""
    world = run(EMBED)
    world.keys_file = FILE
    own = {"root": ROOT, "bob": ApiKey(digest=digest_of("b"))}
    gate = AccessConfig(api_keys={**own, **keys})
    serve = replace(world.plan.serve, gate=gate)
    world.supervisor._plan.set(
        replace(world.plan, serve=serve, origin=ORIGIN if file else Origin())
    )
    return world


def is_read_again(world: World) -> None:
    """The file as it is by now has been read."""
    assert isinstance(world.keys_file, str)
    plan = world.supervisor._plan.now
    origin = replace(ORIGIN, keys_digest=digest_of_text(world.keys_file))
    world.supervisor._plan.set(replace(plan, origin=origin))


def let_in(world: World) -> dict[str, ApiKey]:
    """Those that the frontend was last told of."""
    return [one for one in world.sent if isinstance(one, Reconfigure)][-1].serve.gate.api_keys


def happened(world: World) -> list[tuple[str, Any]]:
    return [(one.type, one.facts["key"]) for one in world.events if one.type.startswith("key")]


def test_a_key_is_let_in_at_once_and_stands_in_the_file() -> None:
    world = server().play((2.0, wishes(AddKey(name="sam", key=SAM)), RUNS))
    assert world.keys_file == (
        f"{FILE}sam:sha256={digest_of('sam')} requests_per_min=60 models=a,b\n"
    )
    assert let_in(world)["sam"] == SAM.of(ApiKey(digest=""))
    assert told(world) == {
        "name": "sam",
        "role": "user",
        "weight": 1.0,
        "priority": 0,
        "requests_per_min": 60,
        "tokens_per_min": 0,
        "tokens_per_day": 0,
        "concurrent": 0,
        "models": ["a", "b"],
        "changeable": True,
    }
    assert happened(world) == [("key.added", "sam")]


def test_a_key_that_is_changed_has_its_secret_no_longer_in_the_file() -> None:
    world = server(eve=ApiKey.of("eve", "admin"))
    change = SetKey(name="root", change=KeyChange(role="user", weight=2.0))
    world.play((2.0, wishes(change), RUNS))
    assert world.keys_file == FILE.replace(
        "root:root-secret:admin", f"root:sha256={ROOT.digest}:user:2"
    )
    assert let_in(world)["root"] == replace(ROOT, role="user", weight=2.0)
    limits = SetKey(name="root", change=KeyChange(tokens_per_day=5, models=[]))
    world.play((3.0, wishes(limits), RUNS))
    assert let_in(world)["root"].limits.tokens_per_day == 5
    assert happened(world) == [("key.changed", "root"), ("key.changed", "root")]


def test_a_key_is_removed_and_comments_stay() -> None:
    world = server().play((2.0, wishes(RemoveKey("bob")), RUNS))
    assert world.keys_file == "# for people\nroot:root-secret:admin\n\n# the box upstairs\n"
    assert list(let_in(world)) == ["root"]
    assert happened(world) == [("key.removed", "bob")]


def test_the_last_admin_stays() -> None:
    world = server()
    for wish in (RemoveKey("root"), SetKey(name="root", change=KeyChange(role="user"))):
        world.play((2.0, wishes(wish), REFUSES))
        assert isinstance(refused(world), Conflict)
        assert "the last key with the role admin" in refused(world).message
    assert world.keys_file == FILE


@pytest.mark.parametrize(
    ("wish", "error", "why"),
    [
        (AddKey(name="bob", key=SAM), Conflict, "there is a key 'bob' already"),
        (AddKey(name="a b", key=SAM), InvalidRequest, "a key's name has up to 64 letters"),
        (AddKey(name="sam", key=KeyChange()), InvalidRequest, "needs the digest"),
        (AddKey(name="sam", key=replace(SAM, weight=0.0)), InvalidRequest, "a weight of 0"),
        (AddKey(name="sam", key=replace(SAM, weight=0.3333)), InvalidRequest, "3 decimals"),
        (AddKey(name="sam", key=replace(SAM, weight=1e-05)), InvalidRequest, "0.001 to 9999.999"),
        (AddKey(name="sam", key=replace(SAM, models=["é"])), InvalidRequest, "printable ASCII"),
        (
            AddKey(name="sam", key=replace(SAM, models=["x\u001cghost:ghostsecret123456:admin"])),
            InvalidRequest,
            "printable ASCII",
        ),
        (SetKey(name="bob", change=KeyChange(digest="x")), InvalidRequest, "64 hexadecimal"),
        (SetKey(name="zoe", change=SAM), NotFound, "has no key 'zoe'"),
        (SetKey(name="env", change=SAM), Conflict, "it is from API_KEYS, a credential of systemd"),
        (RemoveKey("env"), Conflict, "which are changed where they are written"),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(
    wish: KeyWish, error: type[Exception], why: str
) -> None:
    world = server(env=ApiKey.of("e")).play((2.0, wishes(wish), REFUSES))
    assert isinstance(refused(world), error)
    assert why in refused(world).message
    assert (world.keys_file, happened(world)) == (FILE, [])


def test_a_file_that_cannot_be_changed_is_said() -> None:
    world = server()
    world.cannot_write_keys = OSError(30, "Read-only file system")
    world.play((2.0, wishes(AddKey(name="sam", key=SAM)), REFUSES))
    assert "/etc/keys cannot be written: Read-only file system" in refused(world).message
    world.keys_file = FILE + "ann:'quoted'\n"
    world.play((3.0, wishes(AddKey(name="sam", key=SAM)), REFUSES))
    assert "key 6: has quotes around it" in refused(world).message
    world.keys_file = OSError(2, "No such file or directory")
    world.play((4.0, wishes(AddKey(name="sam", key=SAM)), REFUSES))
    assert "cannot be read: No such file" in refused(world).message
    without = server(file="").play((2.0, wishes(AddKey(name="sam", key=SAM)), REFUSES))
    assert "API_KEYS_FILE, which is not set" in refused(without).message


def test_what_was_written_by_hand_is_not_undone() -> None:
    world = server()
    world.keys_file = FILE.replace(digest_of("b"), digest_of("rotated"))
    for wish in (
        SetKey(name="bob", change=KeyChange(weight=2.0)),
        AddKey(name="sam", key=SAM),
        RemoveKey("bob"),
    ):
        world.play((2.0, wishes(wish), REFUSES))
        assert isinstance(refused(world), Conflict)
        assert "has changed since it was read; edge-serve reload first" in refused(world).message
    assert digest_of("rotated") in world.keys_file
    world.play((3.0, wishes(ListKeys()), REFUSES))
    assert "edge-serve reload first" in told(world)["why_not_changeable"]
    is_read_again(world)
    world.play((4.0, wishes(AddKey(name="sam", key=SAM)), RUNS))
    world.play((5.0, wishes(RemoveKey("sam")), RUNS))


def test_a_file_that_cannot_be_written_is_told_before_anybody_tries() -> None:
    world = server()
    world.cannot_write_keys = OSError(30, "Read-only file system")
    world.play((2.0, wishes(ListKeys()), REFUSES))
    assert told(world)["why_not_changeable"] == (
        "API_KEYS_FILE: /etc/keys cannot be written: Read-only file system"
    )


def test_keys_are_listed_without_their_digests() -> None:
    world = server(env=ApiKey.of("e")).play((2.0, wishes(ListKeys()), REFUSES))
    listed = told(world)
    assert [(one["name"], one["role"], one["changeable"]) for one in listed["keys"]] == [
        ("root", "admin", True),
        ("bob", "user", True),
        ("env", "user", False),
    ]
    assert listed["why_not_changeable"] is None
    assert digest_of("b") not in repr(listed)


def test_a_key_that_comes_while_the_files_are_read_is_not_forgotten() -> None:
    world = server()
    before = found(world, EMBED, gate=AccessConfig(api_keys={"root": ROOT}))
    world.play(
        (2.0, asks(7), ["start reading-1"]),
        (2.0, wishes(AddKey(name="sam", key=SAM)), RUNS),
        # What was read is the file as it was; it is read once more.
        (
            3.0,
            reads("reading-1", before),
            ["frontend.1 <- reconfigure", "frontend.1 <- told 7", "start reading-2"],
        ),
    )
