"""What an operator is told of the configuration."""

from __future__ import annotations

from msgspec.structs import replace

from ipc.messages.configuration import Setting, Value
from ipc.messages.control import BatchConfig, Serve
from supervisor.admin.configuration import configuration
from supervisor.plan import Origin, Plan
from supervisor.reload.changes import changes, merged

SLOTS = Value(value=3, origin="entry", file="/own.yaml")
PLAN = Plan(
    host="127.0.0.1",
    port=8000,
    run_dir="/run",
    serve=Serve(specs=[]),
    settings=[
        Setting(name="PORT", value=8000, default=8000),
        Setting(name="MAX_TEXT_CHARS", value=100, default=100),
        Setting(name="MAX_BATCHES", value=32, default=32),
        Setting(name="BATCH_STORAGE_MB", value=2048, default=2048),
        Setting(name="API_KEYS", secret=True),
    ],
    values={"org/chat": {"slots": SLOTS}},
    origin=Origin(files=["/own.yaml"]),
)


def with_settings(plan: Plan, **values: int) -> Plan:
    settings = [
        replace(one, value=values[one.name], origin=".env") if one.name in values else one
        for one in plan.settings
    ]
    return replace(plan, settings=settings)


def test_each_value_with_where_it_comes_from() -> None:
    told = configuration(PLAN)
    assert told["settings"][0] == {
        "name": "PORT",
        "value": 8000,
        "default": 8000,
        "from": "default",
        "secret": False,
        "is_set": False,
        "restart": False,
        "description": "",
    }
    slots = {"value": 3, "from": "entry", "file": "/own.yaml"}
    assert told["models"] == {"org/chat": {"slots": slots}}
    assert told["files"] == ["/own.yaml"]


def test_after_a_reload_what_needs_a_restart_is_told_as_it_still_is() -> None:
    new = with_settings(PLAN, PORT=9000, MAX_TEXT_CHARS=50)
    new = replace(new, port=9000, serve=Serve(specs=[], max_text_chars=50))
    told = {one["name"]: one for one in configuration(merged(PLAN, new))["settings"]}
    port, text = told["PORT"], told["MAX_TEXT_CHARS"]
    assert (port["value"], port["from"], port["restart"]) == (8000, "default", True)
    assert (text["value"], text["from"], text["restart"]) == (50, ".env", False)
    again = merged(merged(PLAN, new), PLAN)
    assert not [one for one in again.settings if one.restart]


def test_of_several_settings_of_one_thing_those_are_named_that_have_changed() -> None:
    new = with_settings(PLAN, MAX_BATCHES=5)
    new = replace(new, serve=Serve(specs=[], batches=BatchConfig(max_batches=5)))
    assert changes(PLAN, {}, new, {}).restart == ["MAX_BATCHES"]
