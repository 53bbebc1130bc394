// What has happened, as a person would say it. An event that is not known here is told as it came.

const STATES = {
  ready: "is ready", starting: "is being loaded", draining: "finishes what it has in hand", unloaded: "has been unloaded",
  asleep: "sleeps", stopped: "is stopped", backoff: "has failed and starts again soon", failed: "has failed",
};

const WORDS = {
  "model.state": (event, facts) => `${event.model} ${STATES[facts.state] ?? facts.state}${facts.reason ? `: ${facts.reason}` : ""}`,
  "replica.exit": (event, facts) => `${facts.child} ${facts.planned ? "has ended" : "has died"}${facts.reason ? `: ${facts.reason}` : ""}`,
  unload: (event, facts) => `${event.model} makes room: ${facts.why}`,
  "model.unload": (event, facts) => `${event.model} is unloaded: ${facts.why}`,
  eviction: (event, facts) => `${facts.victim ?? event.model} makes room for ${facts.for}: ${facts.reason}`,
  no_room: (event, facts) => `no room for ${event.model}: ${facts.why}`,
  "config.reloaded": () => "the configuration was read again",
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
