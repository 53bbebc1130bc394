"""Every failure that a caller can meet, as one tree.

    ServeError
    ├── InvalidRequest            400  invalid_value
    │   ├── UnsupportedParameter  400  unsupported_parameter
    │   ├── ContextTooLong        400  context_length_exceeded
    │   ├── NoPreviousResponse    400  previous_response_not_found
    │   └── UndecodableMedia      400  undecodable_media
    ├── InvalidApiKey             401  invalid_api_key
    ├── HostNotAllowed            403  host_not_allowed
    ├── AdminRequired             403  admin_required
    ├── CrossSite                 403  cross_site              (another page's doing)
    ├── ModelNotFound             404  model_not_found
    ├── NotFound                  404  not_found               (a path, a file, a batch)
    ├── MethodNotAllowed          405  method_not_allowed
    ├── RequestTimeout            408  request_timeout         (a sender that is too slow)
    ├── Conflict                  409  conflict                (not as things stand now)
    │   ├── ModelBusy             409  busy
    │   └── ModelPinned           409  pinned                  (those that stay take the memory)
    ├── PayloadTooLarge           413  request_too_large
    ├── UriTooLong                414  uri_too_long
    ├── UnsupportedMediaType      415  unsupported_media_type
    ├── QueueFull                 429  rate_limit_exceeded     (also what a key has in a minute)
    ├── InsufficientQuota         429  insufficient_quota      (what a key has in a day)
    ├── HeadersTooLarge           431  headers_too_large
    ├── Cancelled                 499  client_closed_request   (logs and metrics only)
    ├── StreamStopped             499  stream_stopped          (by its client: DELETE /v1/stream)
    ├── InternalError             500  internal_error
    │   └── PoisonRequest         500  poison_request
    ├── Unavailable               503  unavailable
    │   ├── ModelLoading          503  model_loading
    │   ├── WorkerCrashed         503  worker_crashed
    │   ├── LostWithFrontend      503  lost_with_frontend      (history only)
    │   ├── Draining              503  draining                (the server ends)
    │   ├── ModelDraining         503  model_draining          (until an operator resumes it)
    │   ├── CircuitOpen           503  circuit_open
    │   ├── QueueTimeout          503  queue_timeout
    │   ├── InsufficientMemory    503  insufficient_memory     (no room to load a model)
    │   ├── GaveWay               503  gave_way                (batches only: the line comes again)
    │   ├── CancelledByOperator   503  cancelled_by_operator
    │   └── OutOfMemory           503  out_of_memory
    └── DeadlineExceeded          504  deadline_exceeded

The class carries the HTTP status, the OpenAI error type and the code, so an error means the same
thing in a worker, on the wire and in an answer. Messages are written for the person who sent the
request: they say what to change.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A `ServeError` on the wire. ``code`` names the class, so it survives the trip."""

    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None


class ServeError(Exception):
    """The root. ``retry_after_s`` is a promise: a retry after that long has a fair chance."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    # Whether a client should send the same request again; None leaves it to the status.
    should_retry: ClassVar[bool | None] = None

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    def info(self) -> ErrorInfo:
        """This error in the form that crosses processes."""
        return ErrorInfo(
            code=self.code,
            message=self.message,
            param=self.param,
            retry_after_s=self.retry_after_s,
        )

    def body(self) -> dict[str, dict[str, str | None]]:
        """The OpenAI error object, all four keys present."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class InvalidRequest(ServeError):
    status, type, code = 400, "invalid_request_error", "invalid_value"


class UnsupportedParameter(InvalidRequest):
    code = "unsupported_parameter"


class ContextTooLong(InvalidRequest):
    code = "context_length_exceeded"


class NoPreviousResponse(InvalidRequest):
    code = "previous_response_not_found"


class UndecodableMedia(InvalidRequest):
    code = "undecodable_media"


class InvalidApiKey(ServeError):
    status, type, code = 401, "invalid_request_error", "invalid_api_key"


class HostNotAllowed(ServeError):
    status, type, code = 403, "invalid_request_error", "host_not_allowed"


class AdminRequired(ServeError):
    status, type, code = 403, "invalid_request_error", "admin_required"


class CrossSite(ServeError):
    status, type, code = 403, "invalid_request_error", "cross_site"


class ModelNotFound(ServeError):
    status, type, code = 404, "invalid_request_error", "model_not_found"


class NotFound(ServeError):
    status, type, code = 404, "invalid_request_error", "not_found"


class MethodNotAllowed(ServeError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class RequestTimeout(ServeError):
    status, type, code = 408, "invalid_request_error", "request_timeout"


class Conflict(ServeError):
    status, type, code = 409, "invalid_request_error", "conflict"
    # The official SDK repeats every 409.
    should_retry = False


class ModelBusy(Conflict):
    code = "busy"


class ModelPinned(Conflict):
    code = "pinned"


class PayloadTooLarge(ServeError):
    status, type, code = 413, "invalid_request_error", "request_too_large"


class UriTooLong(ServeError):
    status, type, code = 414, "invalid_request_error", "uri_too_long"


class UnsupportedMediaType(ServeError):
    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


class QueueFull(ServeError):
    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class InsufficientQuota(ServeError):
    status, type, code = 429, "insufficient_quota", "insufficient_quota"
    # The official SDK repeats every 429: not before the next day would it be another answer.
    should_retry = False


class HeadersTooLarge(ServeError):
    status, type, code = 431, "invalid_request_error", "headers_too_large"


class Cancelled(ServeError):
    status, type, code = 499, "invalid_request_error", "client_closed_request"


class StreamStopped(ServeError):
    """Told to whoever still reads the stream that its client has stopped."""

    status, type, code = 499, "invalid_request_error", "stream_stopped"
    should_retry = False


class InternalError(ServeError):
    """A defect of ours. Deterministic as far as we know, so clients are told not to repeat it."""

    should_retry = False


class PoisonRequest(InternalError):
    """One that was in hand at two crashes of its worker: `frontend.dispatch.crashes.quarantine`."""

    code = "poison_request"


class Unavailable(ServeError):
    status, code = 503, "unavailable"


class ModelLoading(Unavailable):
    code = "model_loading"


class WorkerCrashed(Unavailable):
    code = "worker_crashed"


class LostWithFrontend(Unavailable):
    """The frontend died that had it in hand. No client ever reads it: the history does."""

    code = "lost_with_frontend"


class Draining(Unavailable):
    code = "draining"


class ModelDraining(Unavailable):
    code = "model_draining"


class CircuitOpen(Unavailable):
    code = "circuit_open"


class QueueTimeout(Unavailable):
    code = "queue_timeout"


class GaveWay(Unavailable):
    """A job in the background whose place a client needs. No client ever reads it."""

    code = "gave_way"


class CancelledByOperator(Unavailable):
    code = "cancelled_by_operator"
    # Nor by an SDK: whoever runs the server would have to call it off again.
    should_retry = False


class InsufficientMemory(Unavailable):
    code = "insufficient_memory"


class OutOfMemory(Unavailable):
    code = "out_of_memory"


class DeadlineExceeded(ServeError):
    status, code = 504, "deadline_exceeded"
    # The official SDK repeats every 5xx: a ten-minute transcription would run three times.
    should_retry = False


def _tree(root: type[ServeError]) -> dict[str, type[ServeError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


BY_CODE: dict[str, type[ServeError]] = {**_tree(ServeError), InternalError.code: InternalError}


def from_info(info: ErrorInfo) -> ServeError:
    """The error that ``info`` names; an unknown code becomes an `InternalError`."""
    return BY_CODE.get(info.code, InternalError)(
        info.message, param=info.param, retry_after_s=info.retry_after_s
    )
