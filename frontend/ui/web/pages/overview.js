// The box, who holds its memory, each model, and what has happened last.
import { html } from "../lib/dom.js";
import { inWords } from "../lib/events.js";
import { clock, duration, megabytes, rate } from "../lib/format.js";
import { useLive } from "../lib/live.js";
import { heldMb, State, TASKS } from "../lib/models.js";
import { link } from "../lib/router.js";
import { Spark } from "../lib/chart.js";

export default function Overview({ who }) {
  const live = useLive();
  const report = live.report;
  if (!report) return html`<h1>Overview</h1>${live.error ? html`<p class="error">${live.error.message}</p>` : html`<p class="quiet">…</p>`}`;
  const models = report.models ?? [];
  return html`<div class="stack">
    <div class="row apart"><h1>${summary(report)}</h1>${live.error && html`<${Stale} live=${live} />`}</div>
    <div class="grid">
      <${Gauge} label="Processors" value=${`${Math.round(report.box?.cpu_percent ?? 0)} %`} note=${`${report.box?.cpus ?? "?"} of them, load ${report.box?.load_1m ?? "–"}`}
        values=${live.samples.map((one) => one.cpu)} top=${100} fill="c2" />
      <${Gauge} label="Tokens written" value=${`${rate(live.samples.at(-1)?.tokens)} /s`} note="by all models"
        values=${live.samples.map((one) => one.tokens)} fill="c1" />
      ${(report.box?.gpus ?? []).map((gpu) => html`<${Gauge} key=${gpu.device} label=${gpu.name} value=${`${gpu.utilization_percent} %`}
        note=${`${megabytes(gpu.memory_used_mb)} of ${megabytes(gpu.memory_total_mb)}`} values=${[gpu.utilization_percent]} top=${100} fill="c3" />`)}
    </div>
    <${Memory} report=${report} models=${models} />
    <section aria-label="Models"><h2>Models</h2>
      <div class="grid">${models.map((model) => html`<${Card} key=${model.name} model=${model} tokens=${live.rates[model.name]} />`)}</div>
      ${!models.length && html`<p class="empty">No model is served. <a href=${link("models")}>Get one</a>.</p>`}
    </section>
    ${who.role === "admin" && html`<section class="card"><h2>Last events</h2><${Events} events=${live.events.slice(0, 12)} /></section>`}
  </div>`;
}

function summary(report) {
  const models = report.models ?? [];
  const ready = models.filter((model) => model.state === "ready").length;
  const failed = models.filter((model) => ["failed", "backoff"].includes(model.state)).length;
  if (report.draining) return "The server is stopping";
  if (failed) return `${failed} of ${models.length} models cannot answer`;
  return `All is well: ${ready} of ${models.length} models loaded`;
}

const Stale = ({ live }) => html`<p class="error" role="alert">No answer since ${clock(live.at)}: ${live.error.message}</p>`;

function Gauge({ label, value, note, values, top, fill }) {
  return html`<section class="card" aria-label=${label}>
    <div class="row apart"><h2 class="quiet">${label}</h2><span class="quiet small">${note}</span></div>
    <p class="big">${value}</p>
    <${Spark} values=${values} top=${top} fill=${fill} label=${`${label} over the last minutes, now ${value}`} />
  </section>`;
}

function Memory({ report, models }) {
  const total = report.box?.memory_total_mb;
  if (!total) return null;
  const parts = models.filter((model) => heldMb(model) > 0)
    .map((model, at) => ({ name: model.name, mb: heldMb(model), fill: `f${(at % 6) + 1}` }));
  const own = (report.supervisor?.rss_mb ?? 0) + (report.frontend?.rss_mb ?? 0);
  const used = total - report.box.memory_available_mb;
  const known = parts.reduce((sum, one) => sum + one.mb, own);
  parts.push({ name: "edge-serve itself", mb: own, fill: "f-other" });
  parts.push({ name: "everything else", mb: Math.max(0, used - known), fill: "f-other" });
  return html`<section class="card"><div class="row apart"><h2>Memory</h2>
      <span class="quiet small num">${megabytes(used)} of ${megabytes(total)} in use</span></div>
    <div class="bar" role="img" aria-label=${parts.map((one) => `${one.name}: ${megabytes(one.mb)}`).join(", ")}>
      ${parts.map((one) => html`<span key=${one.name} class=${one.fill} title=${`${one.name}: ${megabytes(one.mb)}`} style=${{ width: `${(100 * one.mb) / total}%` }}></span>`)}
    </div>
    <ul class="legend">${parts.map((one) => html`<li key=${one.name}><i class=${one.fill}></i>${one.name} <span class="quiet num">${megabytes(one.mb)}</span></li>`)}
      <li><i class="f-free"></i>free <span class="quiet num">${megabytes(report.box.memory_available_mb)}</span></li></ul>
  </section>`;
}

function Card({ model, tokens }) {
  const queue = model.queue;
  return html`<article class="card stack close">
    <div class="row apart"><a class="name grow" href=${link("models", model.name)}>${model.name}</a><${State} model=${model} /></div>
    <div class="row"><span class="tag">${TASKS[model.task] ?? model.task}</span><span class="tag">${model.engine}</span>
      ${model.load !== "always" && html`<span class="tag">${{ on_demand: "on demand", never: "by hand" }[model.load]}</span>`}</div>
    ${model.reason && html`<p class="callout bad small">${model.reason}</p>`}
    <dl class="facts">
      <dt>Memory</dt><dd class="num">${heldMb(model) ? megabytes(heldMb(model)) : model.memory_mb ? `${megabytes(model.memory_mb)} when loaded` : "–"}</dd>
      <dt>At work</dt><dd class="num">${queue ? `${queue.in_flight} of ${queue.credit}` : "–"}${queue?.depth ? html`, <strong>${queue.depth} wait</strong> (${duration(queue.oldest_s)})` : ""}</dd>
      ${model.task === "chat" && html`<dt>Writes</dt><dd class="num">${rate(tokens)} tokens/s</dd>`}
    </dl>
  </article>`;
}

export function Events({ events }) {
  if (!events.length) return html`<p class="quiet">Nothing yet.</p>`;
  return html`<ol class="events">${events.map((event) => html`<li key=${event.seq}><time>${clock(event.time ?? event.time_s)}</time><span>${inWords(event)}</span></li>`)}</ol>`;
}
