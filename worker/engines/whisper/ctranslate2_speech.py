"""Whisper through CTranslate2 (faster-whisper): quantised, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipc.engine_options import CTranslate2Options, SpeechOptions
from ipc.messages.spec import Spec
from worker.engine import Stage, options_of
from worker.hearing.engine import HearingEngine

if TYPE_CHECKING:
    from worker.hearing.model import Model


class WhisperSpeech(HearingEngine):
    """An engine for speech. Options: `CTranslate2Options`."""

    def prepare(self, spec: Spec, stage: Stage) -> None:
        """Convert a Hugging Face checkpoint now, so that a worker need not. Raises `LoadError`."""
        from worker.engines.whisper.ctranslate2_model import model_folder

        model_folder(spec, stage)

    def open(self, spec: Spec, stage: Stage) -> tuple[SpeechOptions, Model]:
        from worker.engines.whisper.ctranslate2_model import load_model, model_folder

        options = options_of(spec, CTranslate2Options)
        folder = model_folder(spec, stage)
        stage("loading weights")
        return options, load_model(spec, options, folder)
