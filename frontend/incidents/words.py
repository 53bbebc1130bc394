"""An incident in a sentence, for people."""

from __future__ import annotations

from typing import Any

from frontend.incidents.incident import Incident

_ALSO = {
    "quarantine": "a request was taken for its cause, and is refused for ten minutes",
    "circuit-open": "it is not started again for a while",
    "overload": "its queue was full",
    "crash": "a worker died",
    "load-failed": "it could not be loaded",
    "hang": "a worker hung",
    "memory": "a worker was killed for memory",
}


def in_words(incident: Incident, in_hand: int, went_on: int = 0, refused: int = 0) -> str:
    """What happened, how much was in hand and what became of that, what the process took, and what
    came of it."""
    parts = [_what(incident)]
    if incident.what != "overload" and (in_hand or incident.what != "server-died"):
        parts.append(f"{in_hand} request{'s' * (in_hand != 1)} in hand{_became(went_on, refused)}")
    if (memory := _memory(incident.facts)) is not None:
        parts.append(memory)
    sentences = [", ".join(parts), *(_ALSO[one] for one in incident.also if one in _ALSO)]
    if incident.unfiled:
        sentences.append(f"{incident.unfiled} like it before have no file")
    return "; ".join(sentences)


def _became(went_on: int, refused: int) -> str:
    told = []
    if went_on:
        told.append(f"{went_on} went on with the next worker")
    if refused:
        told.append(f"{refused} {'was' if refused == 1 else 'were'} refused")
    return f" ({', '.join(told)})" if told else ""


def _what(incident: Incident) -> str:
    model, facts = incident.model, incident.facts
    reason = facts.get("reason")
    why = f" ({reason})" if reason else ""
    match incident.what:
        case "memory":
            return f"{model} was killed by the kernel for want of memory{why}"
        case "hang":
            return f"{model} hung and was replaced{why}"
        case "crash":
            return f"a worker of {model} died{why}"
        case "load-failed":
            return f"{model} could not be loaded{why}"
        case "frontend-crash":
            return f"the frontend died{why}; every open connection was cut"
        case "server-died":
            return _server_died(facts)
        case "quarantine":
            return f"a request to {model} has killed its worker again, and is refused"
        case "circuit-open":
            return f"{model} failed too often and is left alone for a while{why}"
        case "overload":
            queue = f"its queue of {facts.get('limit')} is full"
            return f"{model} refuses requests, the last {facts.get('refused')} in ten s: {queue}"


def _server_died(facts: dict[str, Any]) -> str:
    if facts.get("machine_restarted"):
        return "the server before this one ended with its machine, without having been stopped"
    return "the server before this one was killed, without having been stopped"


def _memory(facts: dict[str, Any]) -> str | None:
    rss_mb = facts.get("rss_mb")
    if rss_mb is None:
        return None
    limit = (facts.get("cgroup") or {}).get("memory.max")
    of = f" of a limit of {limit / 2**20:,.0f} MB" if limit else ""
    return f"{rss_mb:,.0f} MB in memory{of}"
