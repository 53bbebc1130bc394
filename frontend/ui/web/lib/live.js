// What is shown all the time: the server's report, and its events as they come. Both are asked for
// while a component shows them, and not while the page is hidden.
import { events, get } from "./api.js";
import { useEffect, useState } from "./dom.js";
import { repeat } from "./every.js";

const EVERY_MS = 2000;
const KEPT_EVENTS = 200;
const KEPT_SAMPLES = 150; // five minutes
const FRESH_S = 5; // older events are in the report already

/** Something that components are drawn again for. `begin` is called for the first of them, and gives
 * what `repeat` does, which ends with the last. */
function shared(begin) {
  const listeners = new Set();
  let asking = null;
  return {
    use() {
      const [, draw] = useState(0);
      useEffect(() => {
        const listener = () => draw((n) => n + 1);
        listeners.add(listener);
        asking ??= begin();
        return () => {
          listeners.delete(listener);
          if (listeners.size) return;
          asking.end();
          asking = null;
        };
      }, []);
    },
    tell: () => listeners.forEach((listener) => listener()),
    now: () => asking?.now(),
  };
}

// --- the report ---

export const live = { report: null, error: null, at: 0, samples: [], rates: {}, counted: null };
const reports = shared(() => repeat(EVERY_MS, report, () => {}));

/** The live state; the component is drawn again whenever it changes. */
export function useLive() {
  reports.use();
  return live;
}

/** Ask now, in place of at the next turn: something was done that shows in the report. */
export const refresh = () => reports.now();

async function report(signal) {
  try {
    take(await get("/health", { signal }).catch(allowUnavailable));
    live.error = null;
  } catch (error) {
    if (!signal.aborted) live.error = error;
    throw error;
  } finally {
    reports.tell();
  }
}

// 503 is how a server answers that has no model ready; its report is in the body all the same.
function allowUnavailable(error) {
  if (error.status !== 503 || !error.body?.models) throw error;
  return error.body;
}

function take(report) {
  const now = Date.now() / 1000;
  const before = live.counted;
  const counted = tokens(report);
  live.rates = Object.fromEntries(
    Object.entries(counted).map(([name, total]) => [
      name, before?.[name] == null || total < before[name] ? 0 : (total - before[name]) / (now - live.at),
    ]),
  );
  live.counted = counted;
  live.report = report;
  live.at = now;
  const box = report.box ?? {};
  live.samples.push({
    at: now,
    cpu: box.cpu_percent ?? null,
    memory: box.memory_total_mb ? 100 * (1 - box.memory_available_mb / box.memory_total_mb) : null,
    tokens: Object.values(live.rates).reduce((sum, one) => sum + one, 0),
    gpus: Object.fromEntries((box.gpus ?? []).map((gpu) => [gpu.device, gpu.utilization_percent])),
    requests: (report.models ?? []).reduce((sum, one) => sum + (one.queue?.in_flight ?? 0) + (one.queue?.depth ?? 0), 0),
  });
  if (live.samples.length > KEPT_SAMPLES) live.samples.shift();
}

function tokens(report) {
  const found = {};
  for (const model of report.models ?? []) {
    found[model.name] = (model.replicas ?? []).reduce((sum, one) => sum + (one.completion_tokens ?? 0), 0);
  }
  return found;
}

// --- the events ---

const happened = { events: [], last: 0 };
const followers = shared(() => repeat(1000, follow, () => {}));

/** The last events, the newest first. They are for those who manage the server. */
export function useEvents() {
  followers.use();
  return happened.events;
}

async function follow(signal) {
  for await (const { data } of events("GET", `/admin/events?after=${happened.last}`, undefined, signal)) {
    if (!data) continue;
    const event = JSON.parse(data);
    if (event.seq < happened.last) happened.events = []; // another server, which counts anew
    happened.last = event.seq;
    happened.events = [event, ...happened.events].slice(0, KEPT_EVENTS);
    followers.tell();
    if (event.type === "model.state" && Date.now() / 1000 - event.time < FRESH_S) refresh();
  }
}
