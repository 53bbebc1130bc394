// How models are shown wherever they are: their state in a word, and who they are among others.
import { html } from "./dom.js";

const WORDS = {
  ready: ["ready", "ready"],
  starting: ["loading", "loading"],
  draining: ["loading", "finishing"],
  asleep: ["asleep", "asleep"],
  unloaded: ["out", "not loaded"],
  stopped: ["out", "stopped"],
  backoff: ["failed", "starts again soon"],
  failed: ["failed", "failed"],
};

export function State({ model }) {
  const [kind, word] = WORDS[model.state] ?? ["out", model.state];
  const stage = model.replicas?.find((one) => one.stage)?.stage;
  return html`<span class=${`state ${kind}`}>${word}${stage && model.state === "starting" ? `: ${stage}` : ""}</span>`;
}

/** The memory that a model's processes hold now, in MB; 0 where it is not loaded. */
export const heldMb = (model) =>
  (model.replicas ?? []).reduce((sum, one) => sum + (one.rss_mb ?? 0), 0);

export const TASKS = { chat: "Chat", embed: "Embeddings", rerank: "Reranking", speech: "Transcription", speak: "Speech" };

/** The models of a task out of a report, those first that can answer at once. */
export function able(report, task) {
  const rank = (model) => ["ready", "asleep", "unloaded", "starting"].indexOf(model.state);
  return (report?.models ?? [])
    .filter((model) => model.task === task && rank(model) >= 0)
    .sort((a, b) => rank(a) - rank(b));
}
