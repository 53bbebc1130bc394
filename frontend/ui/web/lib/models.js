// How models are shown wherever they are: their state in a word, and who they are among others.
import { html } from "./dom.js";
import { duration } from "./format.js";
import { said, t } from "./words.js";

/** A model's name with its publisher, who matters less, set apart. */
export function Name({ name }) {
  const at = name.lastIndexOf("/") + 1;
  return html`${at > 0 && html`<span class="publisher">${name.slice(0, at)}</span>`}${name.slice(at)}`;
}

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
  const stage = model.state === "starting" && stageOf(model);
  return html`<span class=${`state ${kind}`}>${said(word)}${stage ? `: ${stage}` : ""}</span>`;
}

const stageOf = (model) => model.replicas?.find((one) => one.stage)?.stage;

/** How far a load is, by what the last one took; nothing where none is or nobody knows. */
export function Loading({ model }) {
  if (model.state !== "starting" || !model.load_s) return null;
  const took = Math.max(...model.replicas.map((one) => one.uptime_s ?? 0));
  const left = Math.max(0, model.load_s - took);
  return html`<div class="loads"><progress max="1" value=${Math.min(0.97, took / model.load_s)} aria-label=${t`How far ${model.name} is loaded`}></progress>
    <span class="quiet small num">${left ? t`about ${duration(left)} to go` : t`longer than the last time`}</span></div>`;
}

/** The memory that a model's processes hold now, in MB; 0 where it is not loaded. */
export const heldMb = (model) =>
  (model.replicas ?? []).reduce((sum, one) => sum + (one.rss_mb ?? 0), 0);

const TASKS = { chat: "Chat", embed: "Embeddings", rerank: "Reranking", speech: "Transcription", speak: "Speech" };

export const taskOf = (model) => said(TASKS[model.task] ?? model.task ?? "–");

/** The models of a task out of a report, those first that can answer at once. */
export function able(report, task) {
  const rank = (model) => ["ready", "asleep", "unloaded", "starting"].indexOf(model.state);
  return (report?.models ?? [])
    .filter((model) => model.task === task && rank(model) >= 0)
    .sort((a, b) => rank(a) - rank(b));
}
