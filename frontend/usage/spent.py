"""What a request has taken."""

from __future__ import annotations

from dataclasses import dataclass

from frontend.http.request_context import RequestContext
from ipc.messages.events import EmbedResult, Marks, RerankResult, SpeakResult, SpeechResult


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens read, the cached ones among them, and written; seconds of sound that were heard or
    made; texts that were embedded or compared; seconds that workers had it in hand."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    audio_s: float = 0.0
    texts: int = 0
    work_s: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


NOTHING = Spent()


def spent_by(context: RequestContext, now: float) -> Spent:
    """What a request has taken that has ended ``now``, on the monotonic clock. Of one that was cut
    off it is as much as was told of it until then."""
    stream = context.stream
    if stream is None or stream.dispatched_at is None:
        return NOTHING
    done, usage = stream.done, context.usage or stream.usage
    audio_s, texts = _units(done.result) if done is not None else (context.heard_s, 0)
    work_s = _work_s(stream.marks, now - stream.dispatched_at)
    if usage is None:
        return Spent(audio_s=audio_s, texts=texts, work_s=work_s)
    return Spent(
        usage.prompt_tokens,
        usage.cached_tokens or 0,
        usage.completion_tokens,
        audio_s,
        texts,
        work_s,
    )


def _work_s(marks: Marks | None, in_hand_s: float) -> float:
    """From its first step to its end, if its worker has told; else for how long one had it."""
    if marks is None or marks.began_s is None:
        return in_hand_s
    return marks.ended_s - marks.began_s


def _units(result: object) -> tuple[float, int]:
    match result:
        case SpeechResult() | SpeakResult():
            return result.duration_s, 0
        case EmbedResult() | RerankResult():
            return 0.0, result.count
        case _:
            return 0.0, 0
