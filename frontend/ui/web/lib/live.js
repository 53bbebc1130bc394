// What is shown all the time: a report every two seconds, and events as they come. Nothing is asked
// while the page is hidden, so that one that nobody looks at costs the server nothing.
import { events, get } from "./api.js";
import { useEffect, useState } from "./dom.js";

const EVERY_MS = 2000;
const KEPT_EVENTS = 200;
const KEPT_SAMPLES = 150; // five minutes

export const live = { report: null, error: null, at: 0, events: [], samples: [], rates: {} };
const listeners = new Set();
let timer = null;
let following = null;
let followed = 0;

/** The live state; the component is drawn again whenever it changes. */
export function useLive() {
  const [, draw] = useState(0);
  useEffect(() => {
    const listener = () => draw((n) => n + 1);
    listeners.add(listener);
    if (listeners.size === 1) start();
    return () => {
      listeners.delete(listener);
      if (!listeners.size) stop();
    };
  }, []);
  return live;
}

function tell() {
  for (const listener of listeners) listener();
}

function start() {
  document.addEventListener("visibilitychange", onVisibility);
  if (!document.hidden) begin();
}

function stop() {
  document.removeEventListener("visibilitychange", onVisibility);
  end();
}

function onVisibility() {
  if (document.hidden) end();
  else begin();
}

function begin() {
  if (timer === null) poll();
  if (!following) follow();
}

function end() {
  clearTimeout(timer);
  timer = null;
  following?.abort();
  following = null;
}

/** Ask now, in place of at the next turn: something was done that shows in the report. */
export function refresh() {
  clearTimeout(timer);
  return poll();
}

async function poll() {
  timer = setTimeout(() => {}, 0);
  const mine = timer;
  try {
    take(await get("/health").catch(allowUnavailable));
    live.error = null;
  } catch (error) {
    live.error = error;
  }
  if (timer === mine) timer = setTimeout(poll, EVERY_MS);
  tell();
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

async function follow() {
  const mine = (following = new AbortController());
  let wait = 1000;
  while (following === mine) {
    try {
      for await (const { data } of events("GET", `/admin/events?after=${followed}`, undefined, mine.signal)) {
        if (!data) continue;
        const event = JSON.parse(data);
        followed = Math.max(followed, event.seq);
        live.events.unshift(event);
        live.events.length = Math.min(live.events.length, KEPT_EVENTS);
        wait = 1000;
        tell();
      }
    } catch (error) {
      if (error.status === 401 || error.status === 403) return; // events are for those who manage
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, 30000);
  }
}
