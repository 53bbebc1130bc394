"""Which variant of a model this box gets: the best that fits its memory beside the other models.

Once pulled, a variant stays: memory that is free today and taken tomorrow changes no answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from supervisor.config.catalog import Model


class Offer(NamedTuple):
    """A variant as it matters here. It is for these kinds of ``devices``, or for all if empty."""

    name: str
    memory_mb: int
    devices: Sequence[str] = ()


class Contender(NamedTuple):
    """A model, the name of its variant that is ``pulled`` (empty: none), and the ``device`` it will
    run on: as that variant, or as the first while it is open.

    ``measured_mb`` has, by the name of a variant, what one worker of it took of this box; ``""`` is
    that of a model without variants. It counts instead of the catalog's estimate.
    """

    model: Model
    pulled: str
    device: str
    measured_mb: Mapping[str, int] = {}

    def memory_mb(self, variant: Model) -> int:
        """What all replicas that it has at least take as this variant; 0 if nobody knows."""
        entry = variant.entry
        one_mb = self.measured_mb.get(entry.variant or "", entry.memory_mb or 0)
        return one_mb * entry.least_replicas

    @property
    def least_mb(self) -> int:
        return min(map(self.memory_mb, self.model.variants.values()))

    @property
    def offers(self) -> list[Offer]:
        return [
            Offer(one.name, self.measured_mb.get(one.name, one.memory_mb), one.devices)
            for one in self.model.entry.variants
        ]


class Settled(NamedTuple):
    """The models with their variants chosen, and a line for each choice: what, and why."""

    models: list[Model]
    notes: list[str]


def choose(offers: Sequence[Offer], device: str, free_mb: int) -> tuple[str, str]:
    """The variant for ``device`` that fits ``free_mb``, the best first, and why it is that one."""
    able = [one for one in offers if not one.devices or device in one.devices] or list(offers)
    fitting = [one for one in able if one.memory_mb <= free_mb]
    if not fitting:
        least = min(able, key=lambda one: one.memory_mb)
        why = f"the smallest, though it needs {least.memory_mb} MB"
        return least.name, f"{why} and {device} has {free_mb} MB for it"
    best = fitting[0]
    why = f"needs {best.memory_mb} MB of the {free_mb} MB that {device} has for it"
    if best is not able[0]:
        why += f"; {able[0].name} would need {able[0].memory_mb} MB"
    return best.name, why


def settled(model: Model, pulled: str) -> Model | None:
    """The variant of ``model`` where there is nothing to choose: the one that its entry names, else
    the one that is ``pulled``. A model without variants is its only one."""
    if not model.variants:
        return model
    return model.variants.get(model.entry.variant or pulled)


def settle(contenders: Sequence[Contender], free_mb: Callable[[str], int]) -> Settled:
    """Each model as the variant to serve: the one that is `settled`, else the one that `choose`
    finds, in the order of the models.

    ``free_mb`` tells what a kind of device has for all of them.
    """
    fixed = [settled(one.model, one.pulled) for one in contenders]
    taken: Counter[str] = Counter()
    for contender, one in zip(contenders, fixed, strict=True):
        needed_mb = contender.least_mb if one is None else contender.memory_mb(one)
        taken[_kind(contender.device)] += needed_mb
    chosen, notes = [], []
    for contender, one in zip(contenders, fixed, strict=True):
        model, kind = contender.model, _kind(contender.device)
        if one is None:
            left_mb = max(0, free_mb(kind) - taken[kind] + contender.least_mb)
            share_mb = left_mb // model.entry.least_replicas
            name, why = choose(contender.offers, kind, share_mb)
            one = model.variants[name]
            taken[kind] += contender.memory_mb(one) - contender.least_mb
            notes.append(f"{model.entry.name}: variant {name}: {why}")
        elif model.variants:
            why = "its entry names it" if model.entry.variant else "it is here already"
            notes.append(f"{model.entry.name}: variant {one.entry.variant}: {why}")
        chosen.append(one)
    return Settled(chosen, notes)


def _kind(device: str) -> str:
    return device.partition(":")[0]
