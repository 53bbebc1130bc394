"""`.env.example`: every setting with its default and its description.

``python -m supervisor.config.dotenv_example`` writes it anew.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from supervisor.config import catalog
from supervisor.config.settings import ROOT, Settings

PATH = ROOT / ".env.example"

_HEAD = """\
# Copy to .env, which is read at start from the current folder. Variables that are already set win,
# options of the command line win over both, and a key of a model's own entry in the catalog wins
# over both variables for that model. What is commented out shows the value used without it.
#
# ${NAME} and ${NAME:-default} are expanded outside of single quotes. Refused are: a setting that
# stands here twice, one without a value, and a name one letter from a setting's (API_KEY_FILE),
# here and in the environment. Numbers are plain digits, in the unit that the name says.
"""
# The heading above the setting that a section begins with.
_SECTIONS = {
    "models": "what to run",
    "host": "where to listen, what to say",
    "api_keys_file": "who may come in",
    "max_batch_size": "what one request may bring",
    "allow_remote_images": "images that requests name by their address",
    "enable_warmup": "what a model must have answered before it counts as ready",
    "max_queue_size": "how many requests may wait, for each model",
    "max_concurrent": "work in one worker",
}
_COLUMN = 40
_WIDTH = 100


def render() -> str:
    """The whole file."""
    lines = [_HEAD.rstrip("\n")]
    for name, field in Settings.model_fields.items():
        if name in _SECTIONS:
            lines += ["", f"# --- {_SECTIONS[name]} ---"]
        lines += _setting(f"# {name.upper()}={_default(name)}", field.description or "")
    return "\n".join(lines) + "\n"


def _setting(assignment: str, description: str) -> list[str]:
    """The line of a setting, its description beside it, and below if there is no room."""
    lines = textwrap.wrap(description, _WIDTH - _COLUMN - len("# "), break_on_hyphens=False)
    if len(assignment) >= _COLUMN:
        return [assignment, *(f"{'':<{_COLUMN}}# {line}" for line in lines)]
    first, *rest = lines
    return [f"{assignment:<{_COLUMN}}# {first}", *(f"{'':<{_COLUMN}}# {line}" for line in rest)]


def _default(name: str) -> str:
    """What is in force if nothing is set, as somebody would write it."""
    if name == "models":
        return ",".join(catalog.load(None).serve)
    value: Any = Settings.model_fields[name].get_default(call_default_factory=True)
    if isinstance(value, Path):
        return str(value.relative_to(ROOT))
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value in (None, []) else str(value)


if __name__ == "__main__":
    PATH.write_text(render())
