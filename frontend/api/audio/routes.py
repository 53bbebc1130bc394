"""The routes of speech, heard and spoken."""

from __future__ import annotations

from frontend.api.audio.speak import Speech
from frontend.api.audio.speak_request import SpeakRequest
from frontend.api.audio.transcribe import Audio
from frontend.api.audio.transcribe_request import AudioRequest
from frontend.api.audio.voices import Voices
from frontend.api.openai import answers
from frontend.api.route import EVENTS, FORM, JSON, SOUND, TEXT, Route
from ipc.tasks import TASKS

_TRANSCRIPT = {
    JSON: (answers.Transcript, answers.VerboseTranscript),
    TEXT: None,
    EVENTS: None,
}

_AUDIO = (
    Route(
        method="POST",
        path=TASKS["speech"].path,
        id="transcribe",
        summary="Speech to text in its own language",
        answer=lambda its: Audio(its.dispatcher, its.serve).transcribe,
        task="speech",
        takes=(AudioRequest,),
        body=FORM,
        gives=_TRANSCRIPT,
    ),
    Route(
        method="POST",
        path="/v1/audio/translations",
        id="translate",
        summary="Speech to English text",
        answer=lambda its: Audio(its.dispatcher, its.serve).translate,
        task="speech",
        takes=(AudioRequest,),
        body=FORM,
        ignores=("language",),
        gives=_TRANSCRIPT,
    ),
    Route(
        method="POST",
        path=TASKS["speak"].path,
        id="speech",
        summary="Text to speech, as a file or as a stream of events",
        answer=lambda its: Speech(its.dispatcher, its.serve).create,
        task="speak",
        takes=(SpeakRequest,),
        gives={SOUND: None, EVENTS: None},
    ),
    Route(
        method="GET",
        path="/v1/audio/voices",
        id="voices",
        summary="The voices of all models",
        answer=lambda its: Voices(its.dispatcher).index,
        gives={JSON: answers.VoiceList},
    ),
)

ROUTES: tuple[Route, ...] = (*_AUDIO,)
