"""What a set of models asks for: which workers are to be started, and which are to end."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.fleet.member import Member


@dataclass(frozen=True, slots=True)
class News:
    """What has become of an update, as an event of that ``type``."""

    type: str
    model: str
    why: str = ""


@dataclass(slots=True)
class Due:
    """Who is to be started; who is to drain and end for good, who so once it has finished whatever
    it has in hand, who for now, and who to be replaced by a fresh process. ``switched``: other
    workers serve a model than before."""

    start: list[Member] = field(default_factory=list)
    retire: list[Member] = field(default_factory=list)
    finish: list[Member] = field(default_factory=list)
    rest: list[Member] = field(default_factory=list)
    renew: list[Member] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    switched: bool = False
