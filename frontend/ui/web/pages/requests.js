// What is asked of the server now, and what was last; one of them as the time that it took.
import { get, remove } from "../lib/api.js";
import { html, useEffect, useState } from "../lib/dom.js";
import { clock, count, duration, rate } from "../lib/format.js";
import { every } from "../lib/every.js";
import { failed, notice } from "../lib/notices.js";
import { link } from "../lib/router.js";

const EVERY_MS = 2000;

export default function Requests({ route }) {
  const [requests, setRequests] = useState(null);
  const [filter, setFilter] = useState("");
  useEffect(() => every(EVERY_MS, async () => setRequests((await get("/admin/requests")).requests)), []);
  if (route.rest) return html`<${One} id=${route.rest} />`;
  const shown = (requests ?? []).filter((one) => matches(one, filter.trim().toLowerCase()));
  return html`<div class="stack"><div class="row apart"><h1>Requests</h1>
      <div class="field"><label class="sr" for="filter">Only those with</label><input id="filter" type="search" placeholder="key, model, status or path" value=${filter} onInput=${(event) => setFilter(event.target.value)} /></div></div>
    <section class="card table"><table>
      <thead><tr><th>Began</th><th>Model</th><th>By</th><th>State</th><th class="num">Waited</th><th class="num">First token</th><th class="num">In all</th><th class="num">Tokens</th><th><span class="sr">What may be done</span></th></tr></thead>
      <tbody>${shown.slice(0, 200).map((one) => html`<${Row} key=${one.id} one=${one} />`)}</tbody></table>
      ${requests && !shown.length && html`<p class="empty">${filter ? "None is like that." : "Nobody has asked for anything yet."}</p>`}
    </section></div>`;
}

const matches = (one, words) =>
  !words || [one.key, one.client, one.model, one.path, String(one.status ?? ""), one.error, one.id].some((text) => text?.toLowerCase().includes(words));

const isAtWork = (one) => one.status == null && !one.error;

function Row({ one }) {
  const times = one.times;
  return html`<tr>
    <td class="num"><a href=${link("requests", one.id)}>${clock(one.began_at)}</a></td>
    <td>${one.model ?? one.path}</td><td>${one.key ?? one.client}</td>
    <td><${Stage} one=${one} /></td>
    <td class="num">${between(times.submitted_s, times.dispatched_s)}</td><td class="num">${times.first_s == null ? "–" : duration(times.first_s)}</td>
    <td class="num">${duration(times.total_s ?? one.age_s)}</td><td class="num">${one.tokens ? `${count(one.tokens.prompt)} → ${count(one.tokens.completion)}` : "–"}</td>
    <td>${isAtWork(one) && html`<${Cancel} id=${one.id} />`}</td></tr>`;
}

const between = (from, to) => (from == null || to == null ? "–" : duration(to - from));

function Stage({ one }) {
  if (isAtWork(one)) return html`<span class="state loading">${one.stage}</span>`;
  const good = one.status && one.status < 400 && !one.error;
  return html`<span class=${`state ${good ? "ready" : "failed"}`}>${good ? one.status : `${one.status ?? ""} ${one.error ?? ""}`}</span>`;
}

function Cancel({ id }) {
  async function onClick() {
    try {
      await remove(`/admin/requests/${encodeURIComponent(id)}`);
      notice("The request has been cancelled");
    } catch (error) {
      failed(error);
    }
  }
  return html`<button class="small danger" onClick=${onClick}>Cancel</button>`;
}

function One({ id }) {
  const [one, setOne] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => every(1000, async () => {
    try {
      setOne(await get(`/admin/requests/${encodeURIComponent(id)}`));
      setError(null);
    } catch (problem) {
      setError(problem);
    }
  }), [id]);
  return html`<div class="stack"><p><a href=${link("requests")}>All requests</a></p>
    <h1>${one?.model ?? "Request"}</h1>
    ${error && html`<p class="error">${error.message}</p>`}
    ${one && html`<section class="card stack close"><div class="row apart"><${Stage} one=${one} />${isAtWork(one) && html`<${Cancel} id=${one.id} />`}</div>
      <dl class="facts"><dt>Request</dt><dd><code>${one.id}</code></dd><dt>Path</dt><dd>${one.path}</dd><dt>By</dt><dd>${one.key ?? one.client}</dd>
        <dt>Began</dt><dd>${clock(one.began_at)}</dd>
        ${one.tokens && html`<dt>Tokens</dt><dd class="num">${count(one.tokens.prompt)} read${one.tokens.cached ? ` (${count(one.tokens.cached)} of them known)` : ""}, ${count(one.tokens.completion)} written${speed(one)}</dd>`}
        ${one.error && html`<dt>Error</dt><dd class="error">${one.error}</dd>`}</dl></section>
      <section class="card"><h2>Where the time went</h2><${Waterfall} times=${one.times} now=${one.times.total_s ?? one.age_s} /></section>`}
  </div>`;
}

function speed(one) {
  const { first_s: first, total_s: total } = one.times;
  const written = one.tokens?.completion;
  return first != null && total > first && written > 1 ? `, ${rate((written - 1) / (total - first))} a second` : "";
}

function Waterfall({ times, now }) {
  const steps = [
    ["read and checked", 0, times.submitted_s, "f-other"],
    ["waited in the queue", times.submitted_s, times.dispatched_s, "f3"],
    ["until the first token", times.dispatched_s, times.first_s, "f2"],
    ["writing", times.first_s, times.total_s, "f1"],
  ].filter(([, from]) => from != null).map(([what, from, to, fill]) => ({ what, from, to: to ?? now, fill, open: to == null && times.total_s == null }));
  const whole = Math.max(now, 0.001);
  return html`<ol class="waterfall">${steps.map((step) => html`<li key=${step.what}><span>${step.what}</span>
    <span class="track"><span class=${step.fill} style=${{ marginLeft: `${(100 * step.from) / whole}%`, width: `${Math.max(0.4, (100 * (step.to - step.from)) / whole)}%` }}></span></span>
    <span class="num">${duration(step.to - step.from)}${step.open ? "…" : ""}</span></li>`)}</ol>`;
}
