"""The models to measure, as edge-serve itself would run them: its settings, catalog and store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from ipc.messages.jobs import Task
from ipc.messages.spec import Defaults, Spec
from supervisor.config import catalog
from supervisor.config.dotenv_file import load_dotenv
from supervisor.config.errors import ConfigError
from supervisor.config.settings import DOTENV, Flags, load
from supervisor.host import hardware
from supervisor.launch.stages import Launch
from supervisor.models.archive import Report

Say = Callable[[str], None]


class Models:
    """The default models, one for each task; MODELS and the other settings choose others."""

    def __init__(self, say: Say) -> None:
        load_dotenv(Path(DOTENV))
        settings = load(Flags())
        self._say = say
        self._launch = Launch(settings, hardware.detect())
        self._models = catalog.load(settings.edge_serve_config).select(settings.models)

    def spec(self, task: Task, engine: str | None = None) -> Spec:
        """The first model of ``task``, its files fetched and converted, without sampling defaults
        of its own: other servers that run it have none. By ``engine`` in place of its own, if one
        is named.

        Raises `ConfigError`, and `FetchError`.
        """
        for model in self._models:
            if model.entry.task == task:
                if engine is not None:
                    entry = model.entry.model_copy(update={"engine": engine})
                    model = replace(model, entry=entry)
                (found,) = self._launch.candidates([model]).all
                ready = self._launch.fetch(found, self._report(found.name))
                return msgspec.structs.replace(ready.spec, defaults=Defaults())
        raise ConfigError(f"no model of task {task} is served; name one in MODELS")

    def _report(self, name: str) -> Report:
        def report(label: str, _done: int, _total: int) -> None:
            self._say(f"{name}: {label}")

        return report
