"""Whether an answer goes on with the last message, or opens one of its own."""

from __future__ import annotations

from frontend.api.fields import Schema
from frontend.api.validate import Body
from ipc.messages.errors import InvalidRequest, UnsupportedParameter

# What `ContinuationRequest.check_continuation` refuses.
OPENS_OR_GOES_ON: Schema = {
    "anyOf": [
        {
            "properties": {
                "add_generation_prompt": {"enum": [True, None]},
                "continue_final_message": {"enum": [False, None]},
            }
        },
        {
            "properties": {
                "add_generation_prompt": {"enum": [False, None]},
                "continue_final_message": {"const": True},
            },
            "required": ["continue_final_message"],
        },
    ]
}


class ContinuationRequest(Body):
    """vLLM's keys."""

    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None

    def check_continuation(self) -> None:
        """Raise `InvalidRequest`, or `UnsupportedParameter`, where the two are at odds."""
        if self.continue_final_message and self.add_generation_prompt:
            raise InvalidRequest(
                "`continue_final_message` and `add_generation_prompt` ask for different things; "
                "send one of them",
                param="continue_final_message",
            )
        if self.add_generation_prompt is False and not self.continue_final_message:
            raise UnsupportedParameter(
                "`add_generation_prompt` false is not supported without `continue_final_message`",
                param="add_generation_prompt",
            )
