"""Each setting is told with what it is, what it would be, and who has said so."""

from __future__ import annotations

import pytest

from ipc.messages.configuration import Setting
from supervisor.config import settings
from supervisor.config.settings import Flags
from supervisor.launch.setting_origins import told


def setting(name: str, flags: Flags | None = None, added: tuple[str, ...] = ()) -> Setting:
    flags = flags or Flags()
    (found,) = [one for one in told(settings.load(flags), flags, added) if one.name == name]
    return found


def test_one_that_nobody_has_set() -> None:
    found = setting("PORT")
    assert (found.value, found.default, found.origin, found.is_set) == (
        8000,
        8000,
        "default",
        False,
    )
    assert found.description == "0: any free one"


def test_a_flag_comes_before_the_environment_and_that_before_dotenv(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PORT", "9000")
    assert (setting("PORT").value, setting("PORT").origin) == (9000, "environment")
    assert setting("PORT", added=("PORT",)).origin == ".env"
    found = setting("PORT", Flags(port="9100"), added=("PORT",))
    assert (found.value, found.default, found.origin) == (9100, 8000, "flag")


def test_a_variable_counts_in_any_case_and_not_if_it_is_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("max_text_chars", "7")
    monkeypatch.setenv("PORT", "")
    assert setting("MAX_TEXT_CHARS").origin == "environment"
    assert setting("PORT").origin == "default"


@pytest.mark.parametrize("name", ["HF_TOKEN", "API_KEYS", "EDGE_SERVE_API_KEY"])
def test_a_secret_is_never_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "ann:sesame-sesame-sesame")
    found = setting(name)
    assert (found.value, found.default, found.secret, found.is_set) == (None, None, True, True)
    assert "sesame" not in repr(told(settings.load(Flags()), Flags(), ()))
