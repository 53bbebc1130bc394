"""The tables in the documentation say what the engines' entries say."""

from __future__ import annotations

from ipc.engines import ENGINES
from tests import tables


def test_the_tables_are_those_of_the_engines() -> None:
    text = tables.MODELS.read_text()
    assert text == tables.models_page(text), "run: python -m tests.tables"
    text = tables.KEYS.read_text()
    assert text == tables.keys_page(text), "run: python -m tests.tables"


def test_the_catalog_names_the_engines() -> None:
    text = tables.CATALOG.read_text()
    assert text == tables.catalog(text), "run: python -m tests.tables"


def test_engines_for_tests_are_in_no_table() -> None:
    hidden = [engine.name for engine in ENGINES.values() if engine.is_hidden]
    assert hidden == ["echo"]
    for table in (tables.engines_table(), tables.options_table(), tables.parameters_table()):
        assert not [name for name in hidden if name in table]
