"""POST /v1/fim/completions as in Mistral's API: what is asked, as a `ChatInput` without messages.

The answer has the shape of a chat's. https://docs.mistral.ai/api/#tag/fim
"""

from __future__ import annotations

from typing import Annotated

from frontend.api.completions.keys import keys_for_texts
from frontend.api.fields import WHOLE, Name, Text
from frontend.api.known_keys import done, refused_keys
from frontend.api.openai.sampling_request import SamplingRequest
from ipc.messages.jobs import ChatInput, Fill
from ipc.messages.spec import Spec

# Also without its prefix: Continue adds that to whatever address it is given.
PATHS = ("/v1/fim/completions", "/fim/completions")

KEYS = keys_for_texts(
    done("model prompt", "required; the prompt is what stands before the gap"),
    done("suffix", "what stands after it"),
    done("random_seed", "Mistral's name for `seed`, which wins"),
)


class FimRequest(SamplingRequest):
    REFUSED = refused_keys(KEYS)
    EXAMPLE = {"prompt": "def add(a, b):\n    return ", "suffix": "\n"}

    model: Name
    prompt: Text
    suffix: Text | None = None
    random_seed: Annotated[int, WHOLE] | None = None

    def to_input(self, spec: Spec) -> ChatInput:
        """The job for ``spec``. Raises `InvalidRequest`."""
        if self.seed is None:
            self.seed = self.random_seed
        gap = Fill(prefix=self.prompt, suffix=self.suffix or "")
        return ChatInput(prompts=[gap], sampling=self.to_sampling(spec))
