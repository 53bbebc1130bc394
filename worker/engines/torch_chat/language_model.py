"""A language model of transformers as the engine runs it: tokens in, logits out, in batches that
bring their own attention."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import torch
import torch._dynamo
from transformers.cache_utils import DynamicCache

from worker.engine import LoadError
from worker.engines.torch_chat.attention import Batch, Probe, own_attention
from worker.engines.torch_chat.fp8 import unrounded
from worker.engines.torch_chat.vision import Tensors, take_shift

logger = logging.getLogger(__name__)

_PROBE_TOKENS = 24
# Of the largest logit: rounding differs between two ways of attending, a mistake shows otherwise.
_TOLERANCE = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}
_KINDS = {None, "full_attention", "sliding_attention"}


class LanguageModel:
    """``shapes`` are of what each layer keeps of a token. Raises `LoadError` for a model whose
    attention is not that of its kind."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.device: torch.device = model.device
        self.vocabulary = int(model.get_output_embeddings().weight.shape[0])
        self._accepts = frozenset(inspect.signature(model.forward).parameters)
        with unrounded(model):
            self.probe = self._probe()
        self.shapes = [self.probe.shapes[layer] for layer in sorted(self.probe.shapes)]

    def compile(self) -> None:
        """Fuse what each layer does between its matrix products, for all layers at once; where the
        box has no compiler, a warning says so and they stay as they are."""
        torch._dynamo.config.suppress_errors = True
        for module in self.model.modules():
            if hasattr(getattr(module, "self_attn", None), "layer_idx"):
                module.compile(dynamic=True)  # in the number of tokens

    def logits(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        batch: Batch,
        last: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Run ``ids`` and ``positions`` [tokens]; returns float32 [tokens, vocabulary], or only
        the rows of the tokens that ``last`` names."""
        found = self._forward(
            input_ids=ids[None],
            position_ids=positions[None],
            logits_to_keep=0 if last is None else last,
            use_cache=False,
            batch=batch,
        )
        rows = found if last is None or "logits_to_keep" in self._accepts else found[last]
        return rows.float()

    def read_images(self, ids: torch.Tensor, images: Tensors) -> tuple[torch.Tensor, Any, int]:
        """Run a whole prompt with ``images`` by the model's own attention, since tokens of an image
        may look at each other.

        Returns the logits [1, vocabulary] after it, a cache with its keys and values, and how far
        the positions that follow are from its count of tokens.
        """
        cache = DynamicCache()
        placed = {name: value.to(self.device, non_blocking=True) for name, value in images.items()}
        with own_attention(self.model):
            found = self._forward(
                **placed,
                input_ids=ids[None],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return found[-1:].float(), cache, take_shift(self.model)

    def _forward(self, **inputs: Any) -> torch.Tensor:
        if "logits_to_keep" not in self._accepts:
            inputs.pop("logits_to_keep")
        logits: torch.Tensor = self.model(**inputs).logits[0]
        return logits

    def _probe(self) -> Probe:
        """Run some tokens both ways."""
        text = self.model.config.get_text_config()
        name = str(self.model.config.model_type)
        kinds = set(getattr(text, "layer_types", None) or ())
        if not kinds <= _KINDS:
            raise LoadError(f"a {name} model has {', '.join(kinds - _KINDS)}; {_INSTEAD}")
        ids = torch.arange(_PROBE_TOKENS, device=self.device) % self.vocabulary
        probe = Probe()
        with own_attention(self.model):
            expected = self._forward(input_ids=ids[None], use_cache=False).float()
        try:
            found = self.logits(ids, torch.arange(_PROBE_TOKENS, device=self.device), probe)
        except (NotImplementedError, TypeError, AttributeError) as error:
            raise LoadError(f"a {name} model cannot be batched: {error}; {_INSTEAD}") from error
        layers = sorted(probe.shapes)
        if layers != list(range(text.num_hidden_layers)):
            raise LoadError(f"a {name} model attends by code of its own; {_INSTEAD}")
        error_share = float((found - expected).abs().max() / expected.abs().max())
        if not error_share <= _TOLERANCE[self.model.dtype]:
            raise LoadError(
                f"a {name} model attends in a way that is not known here (its logits differ by "
                f"{error_share:.0%}); {_INSTEAD}"
            )
        return probe


_INSTEAD = "serve it by engine command, say with llama.cpp"
