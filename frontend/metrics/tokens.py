"""The tokens of requests, and of the keys that they came with."""

from __future__ import annotations

from frontend.http.request_context import RequestContext
from frontend.metrics.series import Series

# Series of so many keys at most, since this process started; others are counted together.
MOST_KEYS, OTHER_KEYS = 100, "(others)"


class TokenMetrics:
    """Owns which keys have series of their own."""

    def __init__(self, series: Series) -> None:
        self._of = series.of
        self._keys: set[str] = set()
        self.prompt = series.counter("edge_serve_prompt_tokens", "Tokens read")
        self.generated = series.counter("edge_serve_generation_tokens", "Tokens written")
        self.cached = series.counter(
            "edge_serve_cached_prompt_tokens", "Tokens of prompts that were read before"
        )
        self.guessed = series.counter(
            "edge_serve_guessed_tokens",
            "Tokens of answers that were guessed before the model was asked",
        )
        self.accepted = series.counter(
            "edge_serve_accepted_tokens", "Guessed tokens that the model found right"
        )
        self._of_keys = series.counter(
            "edge_serve_key_tokens",
            "Tokens that each key has used: prompt, cached (of these), completion",
            *("key", "kind"),
        )

    def count(self, context: RequestContext, model: str) -> None:
        """Those of a request that has ended."""
        usage = context.usage
        if usage is None:
            return
        cached = usage.cached_tokens or 0
        self._of(self.prompt, model).inc(usage.prompt_tokens)
        self._of(self.generated, model).inc(usage.completion_tokens)
        self._of(self.cached, model).inc(cached)
        if usage.guessed_tokens:
            self._of(self.guessed, model).inc(usage.guessed_tokens)
            self._of(self.accepted, model).inc(usage.accepted_tokens)
        if context.key is not None:
            key = self._label(context.key)
            self._of(self._of_keys, model, key, "prompt").inc(usage.prompt_tokens)
            self._of(self._of_keys, model, key, "cached").inc(cached)
            self._of(self._of_keys, model, key, "completion").inc(usage.completion_tokens)

    def _label(self, key: str) -> str:
        """The label of a key: its name, or that of all others where there are too many."""
        if key not in self._keys and len(self._keys) < MOST_KEYS:
            self._keys.add(key)
        return key if key in self._keys else OTHER_KEYS
