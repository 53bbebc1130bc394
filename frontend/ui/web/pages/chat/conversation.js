// A conversation as a tree. Whoever edits a turn or asks again begins a branch beside what was there,
// so that nothing is lost. It is {nodes: [{turn, parent}], at}: `at` is the last node of the branch
// that is shown, -1 before the first.

export const EMPTY = { nodes: [], at: -1 };

/** With one more turn behind the node `parent`, which is shown. */
export const add = ({ nodes }, turn, parent) => ({ nodes: [...nodes, { turn, parent }], at: nodes.length });

/** The nodes that are shown, by their numbers, the first first. */
export function path({ nodes, at }) {
  const found = [];
  for (let one = at; one >= 0; one = nodes[one].parent) found.unshift(one);
  return found;
}

export const turns = (talk) => path(talk).map((one) => talk.nodes[one].turn);

/** Those that stand for the same turn as `one`, itself included. */
export const beside = ({ nodes }, one) =>
  nodes.map((_, other) => other).filter((other) => nodes[other].parent === nodes[one].parent);

/** As it was when the branch of `one` was shown last: to its newest end. */
export function choose({ nodes }, one) {
  const next = (from) => nodes.findLastIndex((node) => node.parent === from);
  let at = one;
  while (next(at) >= 0) at = next(at);
  return { nodes, at };
}
