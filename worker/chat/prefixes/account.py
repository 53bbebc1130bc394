"""Which beginnings of prompts come again: token ids, in a tree whose branches prompts share.

    1 2 3 4 -+- 5 6      after the prompts 1 2 3 4 5 6, 1 2 3 4 7 and 1 2 3 4 8:
             +- 7        1 2 3 4 was hit twice, the others never
             +- 8

A branch is hit by every prompt that comes to it after the first. So what one request alone has
brought has no hits, and a branch has at most as many as the one that it grows from. A tree of
tokens and not of blocks: an engine whose cache ends at any token would have the rest of a block to
read before each first token.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.chat.prefixes.shared import shared_tokens

# Of a prompt so many tokens are looked at, and of all prompts so many are known.
MOST_OF_A_PROMPT = 16_384
MOST_TOKENS = 65_536
MOST_BRANCHES = 4096
# What does not come again counts half after so many prompts. Time alone changes nothing: on Monday
# morning the best guess is what was asked for on Friday.
HALF_LIFE_PROMPTS = 256
# A shorter beginning is not worth a place in a cache; templates alone begin with about as much.
LEAST_TOKENS = 32

_GROWTH = 2 ** (1 / HALF_LIFE_PROMPTS)
_LARGEST = 1e100


@dataclass(slots=True, eq=False)
class Branch:
    """The ``tokens`` that follow those of the branch it grows from. ``hits`` are decayed; it was
    last ``used`` by that prompt, counted from the first."""

    tokens: array[int]
    used: int = 0
    hits: float = 0.0
    children: dict[int, Branch] = field(default_factory=dict)


class Placed(NamedTuple):
    """A branch and the one that it grows from."""

    parent: Branch
    branch: Branch


class PrefixAccount:
    """The beginnings of the prompts that have come, the most frequent ones in any case."""

    def __init__(self) -> None:
        self.root = Branch(tokens_of(()))
        self._prompts = 0
        self._unit = 1.0  # what a hit counts now: it grows, which is how older ones decay
        self._tokens = 0
        self._branches = 0

    def note(self, prompt: Sequence[int]) -> None:
        """A request has come with this prompt."""
        self._prompts += 1
        self._decay()
        rest, at = tokens_of(prompt[:MOST_OF_A_PROMPT]), self.root
        while rest:
            branch = at.children.get(rest[0])
            if branch is None:
                self._add(at, Branch(rest, self._prompts))
                break
            same = shared_tokens(branch.tokens, rest)
            if same < len(branch.tokens):
                branch = _split(at, branch, same)
                self._branches += 1
            branch.hits += self._unit
            branch.used = self._prompts
            rest, at = rest[same:], branch
        self._prune()

    def grow(self, parent: Branch, tokens: array[int], hits: float) -> Branch:
        """Add a branch that is known from before, with its decayed ``hits``."""
        branch = Branch(tokens, hits=hits * self._unit)
        self._add(parent, branch)
        return branch

    def hits(self, branch: Branch) -> float:
        """The hits of ``branch``: one by the last prompt counts 1."""
        return branch.hits / self._unit

    def ranked(self) -> list[Placed]:
        """All branches, those first that are hit most, and last used among equals. None comes
        before the one that it grows from."""
        return sorted(
            _walk(self.root),
            key=lambda placed: (placed.branch.hits, placed.branch.used),
            reverse=True,  # which leaves equals in their order, the nearest to the root first
        )

    def hottest(self, count: int, tokens: int) -> list[list[int]]:
        """At most ``count`` beginnings to have in a cache of so many ``tokens``, first that by
        which most is saved: each from the first token to where no two prompts were the same."""
        paths = list(_paths(self.root))
        covered: set[int] = set()
        found: list[list[int]] = []
        while len(found) < count and paths:
            path = max(paths, key=lambda path: _saved(path, covered))
            paths.remove(path)
            new = [branch for branch in path if id(branch) not in covered]
            added = sum(len(branch.tokens) for branch in new)
            if added < LEAST_TOKENS or added > tokens:
                continue
            tokens -= added
            covered.update(map(id, new))
            found.append([token for branch in path for token in branch.tokens])
        return found

    def _decay(self) -> None:
        self._unit *= _GROWTH
        if self._unit > _LARGEST:
            for _, branch in _walk(self.root):
                branch.hits /= self._unit
            self._unit = 1.0

    def _add(self, parent: Branch, branch: Branch) -> None:
        parent.children[branch.tokens[0]] = branch
        self._tokens += len(branch.tokens)
        self._branches += 1

    def _prune(self) -> None:
        """Forget what is hit least, a quarter at once, where more is known than may be."""
        if self._tokens <= MOST_TOKENS and self._branches <= MOST_BRANCHES:
            return
        for parent, branch in reversed(self.ranked()):
            if self._tokens <= MOST_TOKENS * 3 // 4 and self._branches <= MOST_BRANCHES * 3 // 4:
                break
            del parent.children[branch.tokens[0]]
            self._tokens -= len(branch.tokens)
            self._branches -= 1


def tokens_of(ids: Sequence[int]) -> array[int]:
    return array("I", ids)


def _split(parent: Branch, branch: Branch, at: int) -> Branch:
    """Cut ``branch`` in two; returns the part that is nearer to the root."""
    near = Branch(branch.tokens[:at], branch.used, branch.hits)
    branch.tokens = branch.tokens[at:]
    near.children[branch.tokens[0]] = branch
    parent.children[near.tokens[0]] = near
    return near


def _walk(root: Branch) -> Iterator[Placed]:
    """Every branch, after the one that it grows from."""
    todo = [root]
    while todo:
        parent = todo.pop()
        for branch in parent.children.values():
            yield Placed(parent, branch)
            todo.append(branch)


def _paths(root: Branch) -> Iterator[tuple[Branch, ...]]:
    """The ways from the root to where what was hit ends."""
    todo: list[tuple[Branch, ...]] = [()]
    while todo:
        path = todo.pop()
        children = (path[-1] if path else root).children.values()
        longer = [(*path, branch) for branch in children if branch.hits > 0]
        todo += longer
        if path and not longer:
            yield path


def _saved(path: Sequence[Branch], covered: set[int]) -> float:
    """The hits that reading ``path`` would serve, by tokens."""
    return sum(branch.hits * len(branch.tokens) for branch in path if id(branch) not in covered)
