"""The tables of engines, options and parameters in the documentation, made of `ipc.engines`.

    python -m tests.tables        write them

tests/unit/test_tables.py holds that they are as they would be written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from ipc.chat_parameters import PARAMETERS
from ipc.engines import LISTED, Chat, Descriptor
from ipc.messages.jobs import Task
from ipc.options import Described, described

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "docs" / "models.md"
KEYS = ROOT / "docs" / "parameters.md"
CATALOG = ROOT / "configs" / "model_config.yaml"
TASKS: tuple[Task, ...] = get_args(Task)
FORMATS = {"openvino": "OpenVINO IR", "gguf": "GGUF", "ctranslate2": "CTranslate2", "onnx": "ONNX"}


def main() -> None:
    MODELS.write_text(models_page(MODELS.read_text()))
    KEYS.write_text(keys_page(KEYS.read_text()))
    CATALOG.write_text(catalog(CATALOG.read_text()))


def models_page(text: str) -> str:
    """docs/models.md with its tables anew."""
    return _with_tables(text, engines=engines_table(), options=options_table())


def keys_page(text: str) -> str:
    """docs/parameters.md with the table of engines anew."""
    return _with_tables(text, engines=parameters_table())


def _with_tables(text: str, **tables: str) -> str:
    for name, table in tables.items():
        pattern = rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end -->)"
        found = re.search(pattern, text, re.DOTALL)
        assert found is not None, name
        text = text[: found.end(1)] + table + text[found.start(2) :]
    return text


def catalog(text: str) -> str:
    """The shipped catalog with the engines in its comment anew."""
    names = ", ".join(["auto", *(engine.name for engine in LISTED)])
    text, count = re.subn(r"(#   engine \(handler\)   ).*(, or module)", rf"\1{names}\2", text)
    assert count == 1
    return text


def engines_table() -> str:
    rows = [
        (
            f"`{engine.name}`",
            _tasks(engine),
            ", ".join(engine.devices),
            _reads(engine),
            _sees(engine),
        )
        for engine in LISTED
    ]
    return _table(("engine", "tasks", "devices", "files", "images in chats"), rows)


def parameters_table() -> str:
    """What of a chat each engine does, for what not all of them do."""
    chats: dict[str, Chat] = {engine.name: engine.chat for engine in LISTED if engine.chat}
    rows = [
        (f"`{name}`", *("" if name in chat.lacks else "yes" for chat in chats.values()))
        for name in PARAMETERS
        if any(name in chat.lacks for chat in chats.values())
    ]
    return _table(("parameter", *(f"`{name}`" for name in chats)), rows)


def options_table() -> str:
    """One row for each option, with all engines and tasks that have it alike."""
    users: dict[Described, dict[Task, list[str]]] = {}
    for task in TASKS:
        for engine in LISTED:
            for option in described(engine.serves[task].options) if task in engine.serves else ():
                users.setdefault(option, {}).setdefault(task, []).append(engine.name)
    rows = [
        (
            f"`{option.name}`",
            _users(used),
            option.takes,
            "refused" if option.is_required else _value(option.default),
            option.help,
        )
        for option, used in users.items()
    ]
    return _table(("option", "of", "takes", "left out", "meaning"), rows)


def _tasks(engine: Descriptor) -> str:
    return "all" if set(engine.serves) == set(TASKS) else ", ".join(engine.serves)


def _reads(engine: Descriptor) -> str:
    if engine.files == "elsewhere":
        return "in another server"
    formats = [form for serving in engine.serves.values() for form in serving.reads]
    return _named(formats) or "what the program reads"


def _sees(engine: Descriptor) -> str:
    if engine.chat is None:
        return ""
    return f"by {_named(engine.chat.images)}" if engine.chat.images else "if its server does"


def _named(formats: Iterable[str]) -> str:
    return ", ".join(FORMATS.get(form, form) for form in dict.fromkeys(formats))


def _users(used: dict[Task, list[str]]) -> str:
    groups: dict[str, list[Task]] = {}
    for task, engines in used.items():
        groups.setdefault(", ".join(engines), []).append(task)
    return "; ".join(
        engines if tasks == list(TASKS) else f"{' and '.join(tasks)}: {engines}"
        for engines, tasks in groups.items()
    )


def _value(default: Any) -> str:
    if default is None:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    main()
