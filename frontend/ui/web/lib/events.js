// What has happened, as a person would say it. An event that is not known here is told as it came.

const STATES = {
  ready: "is ready", starting: "is being loaded", draining: "finishes what it has in hand", unloaded: "has been unloaded",
  asleep: "sleeps", stopped: "is stopped", backoff: "has failed and starts again soon", failed: "has failed",
};

const WORDS = {
  "model.state": (event, facts) => `${event.model} ${STATES[facts.state] ?? facts.state}${facts.reason ? `: ${facts.reason}` : ""}`,
  "replica.exit": (event, facts) => `${facts.child} ${facts.planned ? "has ended" : "has died"}${facts.reason ? `: ${facts.reason}` : ""}`,
  "model.load": (event) => `${event.model} is to be loaded`,
  "model.unload": (event, facts) => `${event.model} is unloaded: ${facts.why}`,
  eviction: (event, facts) => `${facts.victim ?? event.model} makes room for ${facts.for}: ${facts.reason}`,
  no_room: (event, facts) => `no room for ${event.model}: ${facts.why}`,
  "device.leaked": (event) => `memory that ${event.model} had is not given back`,
  "update.switched": (event) => `${event.model} is served by fresh workers`,
  "update.done": (event) => `the update of ${event.model} is done`,
  "update.failed": (event, facts) => `the update of ${event.model} has failed, and the old workers serve: ${facts.why}`,
  "update.rolled_back": (event, facts) => `the old workers of ${event.model} serve again: ${facts.why}`,
  "pull.progress": (event, facts) => `the pull of ${event.model ?? facts.source} is ${facts.state}${facts.error ? `: ${facts.error}` : ""}`,
  "config.reloaded": () => "the configuration was read again",
  "config.refused": (_, facts) => `the configuration was not taken over: ${facts.why}`,
  "queue.full": (event) => `the queue of ${event.model} is full`,
};

export function inWords(event) {
  const facts = event.facts ?? event;
  const words = WORDS[event.type];
  if (words) return words(event, facts);
  const rest = Object.entries(facts).filter(([name]) => !["seq", "time", "time_s", "type", "model"].includes(name));
  return [event.type, event.model, ...rest.map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`)]
    .filter(Boolean).join(" ");
}
