// What is asked of the server now, and what was over the last days; one of them as the time that it took.
import { get, remove } from "../lib/api.js";
import { html, useEffect, useState } from "../lib/dom.js";
import { bytes, clock, count, date, duration, rate } from "../lib/format.js";
import { every } from "../lib/every.js";
import { failed, notice } from "../lib/notices.js";
import { link } from "../lib/router.js";
import { t } from "../lib/words.js";

const EVERY_MS = 2000, ONE_MS = 1000;
const PAGE = 50;

export default function Requests({ route }) {
  return route.rest ? html`<${One} id=${route.rest} />` : html`<${List} model=${route.query.get("model") ?? ""} />`;
}

function List({ model }) {
  const [asked, setAsked] = useState({ key: "", model, status: "" });
  const [newest, setNewest] = useState(null); // the first page, which is asked for again and again
  const [older, setOlder] = useState([]); // those that were asked for behind it
  const query = new URLSearchParams(Object.entries({ ...asked, limit: PAGE }).filter(([, value]) => value !== "")).toString();
  useEffect(() => {
    setOlder([]);
    return every(EVERY_MS, async (signal) => setNewest(await get(`/admin/requests?${query}`, { signal })));
  }, [query]);
  const next = older.length ? older.at(-1).next : newest?.next;
  const shown = unique([newest, ...older].flatMap((page) => page?.requests ?? []));
  async function onOlder() {
    try {
      setOlder([...older, await get(`/admin/requests?${query}&before=${next}`)]);
    } catch (error) {
      failed(error);
    }
  }
  return html`<div class="stack"><h1>${t`Requests`}</h1><${Filter} asked=${asked} onChange=${setAsked} />
    <section class="card table"><table>
      <thead><tr><th>${t`Began`}</th><th>${t`Model`}</th><th>${t`By`}</th><th>${t`State`}</th><th class="num">${t`Waited`}</th><th class="num">${t`First token`}</th><th class="num">${t`In all`}</th><th class="num">${t`Tokens`}</th><th><span class="sr">${t`What may be done`}</span></th></tr></thead>
      <tbody>${shown.map((one) => html`<${Row} key=${`${one.id} ${one.began_at}`} one=${one} />`)}</tbody></table>
      ${newest && !shown.length && html`<p class="empty">${Object.values(asked).some(Boolean) ? t`None is like that.` : t`Nobody has asked for anything yet.`}</p>`}
    </section>
    ${next != null && html`<button onClick=${onOlder}>${t`Older ones`}</button>`}</div>`;
}

/** A page that is asked for again moves on: what has come meanwhile pushes some into the next. */
function unique(requests) {
  const seen = new Map(requests.map((one) => [`${one.id} ${one.began_at}`, one]));
  return [...seen.values()];
}

function Filter({ asked, onChange }) {
  const set = (name) => ({ target }) => onChange((before) => ({ ...before, [name]: target.value.trim() }));
  const field = (name, label) => html`<div class="field"><label for=${`by-${name}`}>${label}</label>
    <input id=${`by-${name}`} type="search" value=${asked[name]} onInput=${set(name)} /></div>`;
  return html`<div class="row">${field("key", t`Key or address`)}${field("model", t`Model`)}
    <div class="field"><label for="by-status">${t`Status`}</label><select id="by-status" value=${asked.status} onChange=${set("status")}>
      <option value="">${t`any`}</option><option value="2xx">${t`answered`}</option><option value="4xx">${t`refused`}</option><option value="5xx">${t`failed`}</option></select></div></div>`;
}

const isAtWork = (one) => one.stage !== "ended";

function Row({ one }) {
  const times = one.times;
  return html`<tr>
    <td><a class="num" href=${link("requests", one.id)}>${when(one)}</a></td>
    <td>${one.model ?? one.path}</td><td>${one.key ?? one.client}</td>
    <td><${Stage} one=${one} /></td>
    <td class="num">${between(times.submitted_s, times.dispatched_s)}</td><td class="num">${times.first_s == null ? "–" : duration(times.first_s)}</td>
    <td class="num">${duration(times.total_s ?? one.age_s)}</td><td class="num">${one.tokens ? `${count(one.tokens.prompt)} → ${count(one.tokens.completion)}` : "–"}</td>
    <td>${isAtWork(one) && html`<${Cancel} id=${one.id} />`}</td></tr>`;
}

const DAY_S = 86400;
const when = (one) => (one.age_s > DAY_S / 2 ? `${date(one.began_at)} ${clock(one.began_at)}` : clock(one.began_at));

const between = (from, to) => (from == null || to == null ? "–" : duration(to - from));

const stage = (one) => ({ received: t`received`, waiting: t`waiting`, running: t`running`, answering: t`answering` })[one.stage] ?? one.stage;

function Stage({ one }) {
  if (isAtWork(one)) return html`<span class="state loading">${stage(one)}</span>`;
  const good = one.status && one.status < 400 && !one.error;
  return html`<span class=${`state ${good ? "ready" : "failed"}`}>${good ? one.status : `${one.status ?? ""} ${one.error ?? ""}`}</span>`;
}

function Cancel({ id }) {
  async function onClick() {
    try {
      await remove(`/admin/requests/${encodeURIComponent(id)}`);
      notice(t`The request has been cancelled`);
    } catch (error) {
      failed(error);
    }
  }
  return html`<button class="small danger" onClick=${onClick}>${t`Cancel`}</button>`;
}

function One({ id }) {
  const [one, setOne] = useState(null);
  const [error, setError] = useState(null);
  const hasEnded = one?.stage === "ended";
  useEffect(() => hasEnded ? undefined : every(ONE_MS, async (signal) => {
    try {
      setOne(await get(`/admin/requests/${encodeURIComponent(id)}`, { signal }));
      setError(null);
    } catch (problem) {
      if (!signal.aborted) setError(problem);
    }
  }), [id, hasEnded]);
  return html`<div class="stack"><p class="back"><a href=${link("requests")}>${t`All requests`}</a></p>
    <h1>${one?.model ?? t`Request`}</h1>
    ${error && html`<p class="error">${error.message}</p>`}
    ${one && html`<section class="card stack close"><div class="row apart"><${Stage} one=${one} />${isAtWork(one) && html`<${Cancel} id=${one.id} />`}</div><${Facts} one=${one} /></section>
      <section class="card"><h2>${t`Where the time went`}</h2><${Waterfall} one=${one} /></section>`}
  </div>`;
}

function Facts({ one }) {
  const tokens = one.tokens;
  return html`<dl class="facts"><dt>${t`Request`}</dt><dd><code>${one.id}</code></dd><dt>${t`Path`}</dt><dd>${one.path}</dd><dt>${t`By`}</dt><dd>${one.key ?? one.client}</dd>
    <dt>${t`Began`}</dt><dd>${when(one)}</dd>
    ${one.shape && html`<dt>${t`Asked`}</dt><dd class="num">${inNumbers(one)}</dd>`}
    ${tokens && html`<dt>${t`Tokens`}</dt><dd class="num">${t`${count(tokens.prompt)} read`}${tokens.cached ? ` (${t`${count(tokens.cached)} of them known`})` : ""}, ${t`${count(tokens.completion)} written`}${speed(one)}</dd>`}
    ${one.worker_pid != null && html`<dt>${t`Worker`}</dt><dd class="num">${t`process ${one.worker_pid}`}${one.attempt > 1 ? `, ${t`attempt ${one.attempt}`}` : ""}${one.steps ? `, ${t`${count(one.steps)} steps`}` : ""}</dd>`}
    ${one.waiting?.listening && html`<dt>${t`Heard`}</dt><dd class="num">${listened(one.waiting.listening)}</dd>`}
    ${one.error && html`<dt>${t`Error`}</dt><dd class="error">${one.error}</dd>`}</dl>`;
}

function listened({ heard_s: heard, audio_s: audio, eta_ms: left }) {
  const far = audio == null ? duration(heard) : t`${duration(heard)} of ${duration(audio)}`;
  return far + (left == null ? "" : t`, about ${duration(left / 1000)} to go`);
}

function inNumbers({ shape, stream, audio_s: sound }) {
  const images = shape.images_bytes ?? [];
  return [
    shape.texts && t`${count(shape.texts)} texts of ${count(shape.chars ?? 0)} characters`,
    images.length && t`${images.length} images`,
    shape.audio_bytes && t`${bytes(shape.audio_bytes)} of sound`,
    sound && t`for ${duration(sound)} of sound`,
    shape.max_tokens && t`at most ${count(shape.max_tokens)} tokens`,
    shape.n > 1 && t`${shape.n} answers`,
    shape.tools && t`${shape.tools} tools`,
    shape.schema && t`a schema`,
    stream && t`as a stream`,
  ].filter(Boolean).join(", ");
}

function speed(one) {
  const { first_s: first, total_s: total } = one.times;
  const written = one.tokens?.completion;
  return first != null && total > first && written > 1 ? `, ${t`${rate((written - 1) / (total - first))} a second`}` : "";
}

function Waterfall({ one }) {
  const now = one.times.total_s ?? one.age_s;
  const steps = stepsOf(one).filter(([, from]) => from != null)
    .map(([what, from, to, fill]) => ({ what, from, to: to ?? now, fill, open: to == null && isAtWork(one) }));
  const whole = Math.max(now, 0.001);
  return html`<ol class="waterfall">${steps.map((step, at) => html`<li key=${at}><span>${step.what}</span>
    <span class="track"><span class=${step.fill} style=${{ marginLeft: `${(100 * step.from) / whole}%`, width: `${Math.max(0.4, (100 * (step.to - step.from)) / whole)}%` }}></span></span>
    <span class="num">${duration(step.to - step.from)}${step.open ? "…" : ""}</span></li>`)}</ol>`;
}

function stepsOf({ times, load_s: load, task, tokens, earlier = [] }) {
  const { submitted_s: submitted, dispatched_s: dispatched } = times;
  return [
    [t`read and checked`, 0, submitted ?? times.total_s, "f-other"],
    [t`waited in the queue`, submitted, dispatched ?? times.total_s, "f3"],
    [t`of that for the model to load`, load > 0.001 ? submitted : null, submitted + load, "f5"],
    ...before(earlier, times),
    ...(times.worked_s == null ? unmarked(times) : marked(times, task === "chat", tokens)),
  ];
}

/** Attempts that came to nothing, and the waits behind them. */
const before = (earlier, times) => earlier.flatMap((one, at) => [
  [one.ended === "worker_died" ? t`with a worker that died` : t`with a worker that gave it back`, one.began_s, one.ended_s, "f4"],
  [t`waited for the next worker`, one.ended_s, earlier[at + 1]?.began_s ?? times.resumed_s ?? (times.dispatched_s > one.ended_s ? times.dispatched_s : times.total_s), "f3"],
]);

/** As long as its worker has not told what was when, or if it died. */
const unmarked = (times) => [
  [t`until the first token`, times.dispatched_s, times.first_s ?? times.total_s, "f2"],
  [t`writing`, times.first_s, times.total_s, "f1"],
];

function marked({ dispatched_s: first, resumed_s: resumed, began_s: began, read_s: read, worked_s: worked, total_s: total }, isChat, tokens) {
  const reading = tokens?.cached ? t`read ${count(tokens.prompt)} tokens, ${count(tokens.cached)} of them known` : tokens ? t`read ${count(tokens.prompt)} tokens` : t`read`;
  const work = isChat && read != null ? [[reading, began, read, "f2"], [t`wrote`, read, worked, "f1"]] : [[t`worked`, began, worked, "f1"]];
  return [[t`waited in its worker`, resumed ?? first, began ?? worked, "f4"], ...work, [t`sent the rest`, worked, total, "f-other"]];
}
