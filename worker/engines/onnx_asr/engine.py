"""onnx-asr as an engine for speech."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipc.engine_options import OnnxAsrOptions, SpeechOptions
from ipc.messages.spec import Spec
from worker.engine import Stage, options_of
from worker.hearing.engine import HearingEngine

if TYPE_CHECKING:
    from worker.hearing.model import Model


class OnnxAsrSpeech(HearingEngine):
    """An engine for speech. Options: `OnnxAsrOptions`."""

    def open(self, spec: Spec, stage: Stage) -> tuple[SpeechOptions, Model]:
        from worker.engines.onnx_asr import files
        from worker.engines.onnx_asr.load import load
        from worker.engines.onnx_asr.model import OnnxAsr

        options = options_of(spec, OnnxAsrOptions)
        found = files.find(spec.path)
        stage("loading weights")
        recogniser = load(found, options.languages, spec.device, spec.threads)
        return options, OnnxAsr(recogniser, spec.device, spec.threads, spec.slots)
