// What has happened, as a person would say it. An event that is not known here is told as it came.
import { megabytes } from "./format.js";
import { said, t } from "./words.js";

const STATES = {
  ready: "is ready", starting: "is being loaded", draining: "finishes what it has in hand", unloaded: "has been unloaded",
  asleep: "sleeps", stopped: "is stopped", backoff: "has failed and starts again soon", failed: "has failed",
};

const because = (why) => (why ? `: ${why}` : "");

const WORDS = {
  "model.state": (model, facts) => `${model} ${said(STATES[facts.state] ?? facts.state)}${because(facts.reason)}`,
  "replica.exit": (_, facts) => (facts.planned ? t`${facts.child} has ended` : t`${facts.child} has died`) + because(facts.reason),
  "model.load": (model) => t`${model} is to be loaded`,
  "model.drain": (model) => t`${model} takes nothing new`,
  "model.resume": (model) => t`${model} takes requests again`,
  "model.unload": (model, facts) => t`${model} is unloaded` + because(facts.why),
  eviction: (model, facts) => t`${facts.victim ?? model} makes room for ${facts.for}` + because(facts.reason) + freed(facts.freed_mb),
  no_room: (model, facts) => t`no room for ${model}` + because(facts.why),
  "device.leaked": (model) => t`memory that ${model} had is not given back`,
  "replicas.more": (model, facts) => t`${model} is to have ${facts.replicas} workers` + because(facts.why),
  "replicas.fewer": (model, facts) => t`${model} needs no more than ${facts.replicas} workers` + because(facts.why),
  "update.switched": (model) => t`${model} is served by fresh workers`,
  "update.done": (model) => t`the update of ${model} is done`,
  "update.failed": (model, facts) => t`the update of ${model} has failed, and the old workers serve` + because(facts.why),
  "update.rolled_back": (model, facts) => t`the old workers of ${model} serve again` + because(facts.why),
  "pull.progress": (model, facts) => t`the pull of ${model ?? facts.source} is ${said(facts.state)}` + because(facts.error),
  "config.reloaded": () => t`the configuration was read again`,
  "config.refused": (_, facts) => t`the configuration was not taken over` + because(facts.why),
  "queue.full": (model) => t`the queue of ${model} is full`,
  "request.quarantined": (model) => t`a request has killed the worker of ${model} again, and is refused`,
  "config.fetched": (model, facts) => (facts.why ? t`the files of ${model} could not be fetched` : t`the files of ${model} are here`) + because(facts.why),
  "key.added": (_, facts) => t`the key ${facts.key} was made`,
  "key.changed": (_, facts) => t`the key ${facts.key} was changed`,
  "key.removed": (_, facts) => t`the key ${facts.key} was removed`,
  incident: (_, facts) => t`a file was written` + because(facts.told),
};

const freed = (mb) => (mb ? `; ${megabytes(mb)}` : "");

const BAD = new Set(["no_room", "device.leaked", "update.failed", "update.rolled_back", "config.refused", "queue.full", "incident", "request.quarantined"]);

/** Whether somebody should look at it. */
export const isBad = (event) =>
  BAD.has(event.type) || ["failed", "backoff"].includes(event.state) || (event.type === "replica.exit" && !event.planned) || (event.type === "config.fetched" && event.why);

/** Whether another event says it as well, a moment later: a load that begins, an end that was meant. */
export const isMinor = (event) => event.type === "model.load" || (event.type === "replica.exit" && event.planned);

export function inWords(event) {
  const facts = event.facts ?? event;
  const words = WORDS[event.type];
  if (words) return words(event.model, facts);
  const rest = Object.entries(facts).filter(([name]) => !["seq", "time", "type", "model"].includes(name));
  return [event.type, event.model, ...rest.map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`)]
    .filter(Boolean).join(" ");
}
