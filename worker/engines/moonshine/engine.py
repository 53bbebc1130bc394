"""Moonshine as an engine for speech."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipc.engine_options import MoonshineOptions, SpeechOptions
from ipc.messages.spec import Spec
from worker.engine import LoadError, Stage, options_of
from worker.hearing.engine import HearingEngine

if TYPE_CHECKING:
    from worker.hearing.model import Model


class MoonshineSpeech(HearingEngine):
    """An engine for speech. Options: `MoonshineOptions`."""

    def open(self, spec: Spec, stage: Stage) -> tuple[SpeechOptions, Model]:
        from worker.engines.moonshine import files
        from worker.engines.moonshine.model import Moonshine

        options = options_of(spec, MoonshineOptions)
        if spec.device != "cpu":
            raise LoadError(f"moonshine runs on cpu, not on {spec.device!r}: change device")
        found = files.find(spec.path)
        stage("loading weights")
        return options, Moonshine(found, [options.language], spec.threads, spec.slots)
