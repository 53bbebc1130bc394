// The box, who holds its memory, each model, and what has happened last.
import { get } from "../lib/api.js";
import { Spark } from "../lib/chart.js";
import { html, useEffect, useState } from "../lib/dom.js";
import { inWords, isBad, isMinor } from "../lib/events.js";
import { every } from "../lib/every.js";
import { clock, duration, megabytes, rate } from "../lib/format.js";
import { useEvents, useLive } from "../lib/live.js";
import { heldMb, Loading, Name, State, taskOf } from "../lib/models.js";
import { link } from "../lib/router.js";
import { said, t } from "../lib/words.js";
import { Hour } from "./overview/hour.js";

const BOX_MS = 30000; // disks and temperatures change slowly
const SHOWN_EVENTS = 8;

export default function Overview({ who }) {
  const live = useLive();
  const report = live.report;
  if (!report) return html`<h1>${t`Overview`}</h1><p class="quiet">${live.error?.message ?? "…"}</p>`;
  const models = report.models ?? [];
  return html`<div class="stack">
    <${Summary} report=${report} />
    <${Gauges} live=${live} report=${report} models=${models} />
    <${Memory} report=${report} models=${models} />
    ${who.role === "admin" && html`<${Hour} />`}
    <section aria-label=${t`Models`}><h2>${t`Models`}</h2>
      <div class="grid models">${models.map((model) => html`<${Card} key=${model.name} model=${model} tokens=${live.rates[model.name]} />`)}</div>
      ${!models.length && html`<p class="card empty">${t`No model is served.`} <a href=${link("models")}>${t`Get one`}</a></p>`}
    </section>
    ${who.role === "admin" && html`<div class="grid wide-first"><${LastEvents} /><${Machine} /></div>`}
  </div>`;
}

function Summary({ report }) {
  const models = report.models ?? [];
  const count = (...states) => models.filter((model) => states.includes(model.state)).length;
  const failed = count("failed", "backoff");
  if (report.draining) return html`<h1 class="sum warn">${t`The server is stopping`}</h1>`;
  if (failed) return html`<h1 class="sum bad">${t`${failed} of ${models.length} models cannot answer`}</h1>`;
  const loaded = t`${count("ready")} of ${models.length} models loaded`;
  return html`<h1 class="sum good">${t`All is well`} <span class="quiet">${loaded}</span></h1>`;
}

function Gauges({ live, report, models }) {
  const box = report.box ?? {};
  const sum = (key) => models.reduce((total, one) => total + (one.queue?.[key] ?? 0), 0);
  const values = (key) => live.samples.map((one) => one[key]);
  return html`<div class="grid">
    <${Gauge} label=${t`Processors`} value=${`${Math.round(box.cpu_percent ?? 0)} %`} note=${t`${box.cpus ?? "?"} of them, load ${box.load_1m ?? "–"}`}
      values=${values("cpu")} top=${100} fill="c2" />
    ${(box.gpus ?? []).map((gpu) => html`<${Gauge} key=${gpu.device} label=${gpu.name} value=${`${gpu.utilization_percent} %`}
      note=${heat(gpu)} values=${live.samples.map((one) => one.gpus[gpu.device])} top=${100} fill="c3" />`)}
    <${Gauge} label=${t`Requests`} value=${sum("in_flight")} note=${sum("depth") ? t`${sum("depth")} wait` : t`nobody waits`}
      values=${values("requests")} top=${Math.max(4, ...values("requests"))} fill="c4" />
    <${Gauge} label=${t`Tokens written`} value=${`${rate(live.samples.at(-1)?.tokens)} /s`} note=${t`by all models`} values=${values("tokens")} fill="c1" />
  </div>`;
}

/** Memory of a GPU, and what it tells of its power. */
const heat = (gpu) => [
  t`${megabytes(gpu.memory_used_mb)} of ${megabytes(gpu.memory_total_mb)}`,
  gpu.celsius != null && `${gpu.celsius} °C`, gpu.power_w != null && `${Math.round(gpu.power_w)} W`,
].filter(Boolean).join(", ");

function Gauge({ label, value, note, values, top, fill }) {
  return html`<section class="card" aria-label=${label}>
    <div class="row apart"><h2 class="quiet">${label}</h2><span class="quiet small">${note}</span></div>
    <p class="big">${value}</p>
    <${Spark} values=${values} top=${top} fill=${fill} label=${t`${label} over the last minutes, now ${value}`} />
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
  parts.push({ name: t`edge-serve itself`, mb: own, fill: "f-own" });
  parts.push({ name: t`everything else`, mb: Math.max(0, used - known), fill: "f-other" });
  return html`<section class="card"><div class="row apart"><h2>${t`Memory`}</h2>
      <span class="quiet small num">${t`${megabytes(used)} of ${megabytes(total)} in use`}</span></div>
    <div class="bar" role="img" aria-label=${parts.map((one) => `${one.name}: ${megabytes(one.mb)}`).join(", ")}>
      ${parts.map((one) => html`<span key=${one.name} class=${one.fill} title=${`${one.name}: ${megabytes(one.mb)}`} style=${{ width: `${(100 * one.mb) / total}%` }}></span>`)}
    </div>
    <ul class="legend">${parts.map((one) => html`<li key=${one.name} title=${one.name}><i class=${one.fill}></i>${one.name.split("/").at(-1)} <span class="quiet num">${megabytes(one.mb)}</span></li>`)}
      <li><i class="f-free"></i>${t`free`} <span class="quiet num">${megabytes(report.box.memory_available_mb)}</span></li></ul>
  </section>`;
}

function Card({ model, tokens }) {
  const queue = model.queue;
  return html`<article class="card model stack close">
    <div class="row apart top"><a class="name grow" href=${link("models", model.name)}><${Name} name=${model.name} /></a><${State} model=${model} /></div>
    <div class="row tight"><span class="tag">${taskOf(model)}</span><span class="tag">${model.engine}</span>
      ${model.load && model.load !== "always" && html`<span class="tag">${{ on_demand: t`on demand`, never: t`by hand` }[model.load]}</span>`}
      ${model.pinned && model.load !== "always" && html`<span class="tag">${t`pinned`}</span>`}
      ${model.update && html`<span class="tag warn">${model.update.state === "loading" ? t`update is loading` : t`update is watched`}</span>`}</div>
    ${model.reason && html`<p class="callout bad small">${model.reason}</p>`}
    <${Loading} model=${model} />
    <dl class="facts">
      <dt>${t`Memory`}</dt><dd class="num">${heldMb(model) ? megabytes(heldMb(model)) : model.memory_mb ? t`${megabytes(model.memory_mb)} when loaded` : "–"}</dd>
      <dt>${t`At work`}</dt><dd class="num">${queue?.credit ? t`${queue.in_flight} of ${queue.credit}` : "–"}${model.task === "chat" && tokens > 0 ? t`, ${rate(tokens)} tokens/s` : ""}</dd>
      ${queue?.depth > 0 && html`<dt>${t`Waiting`}</dt><dd class="num"><strong>${queue.depth}</strong>${queue.eta_s != null ? t`, the next one starts in about ${duration(queue.eta_s)}` : t`, for ${duration(queue.oldest_s)}`}</dd>`}
      ${model.leaves_in_s != null && html`<dt>${t`Leaves`}</dt><dd class="num">${t`in ${duration(model.leaves_in_s)} without work`}</dd>`}
    </dl>
  </article>`;
}

function LastEvents() {
  const events = useEvents().filter((event) => !isMinor(event)).slice(0, SHOWN_EVENTS);
  return html`<section class="card"><h2>${t`Last events`}</h2>
    ${events.length ? html`<ol class="events">${events.map((event) => html`<li key=${event.seq} class=${isBad(event) ? "bad" : ""}>
      <time>${clock(event.time)}</time><span>${inWords(event)}</span></li>`)}</ol>` : html`<p class="quiet">${t`Nothing yet.`}</p>`}</section>`;
}

function Machine() {
  const [box, setBox] = useState(null);
  useEffect(() => every(BOX_MS, async (signal) => setBox(await get("/admin/box", { signal }))), []);
  if (!box) return null;
  return html`<section class="card"><h2>${t`Machine`}</h2><dl class="facts">
    <dt>${t`Running for`}</dt><dd class="num">${duration(box.uptime_s)}</dd>
    ${box.disks.map((disk) => html`<dt>${t`Disk`}</dt><dd class="num" title=${disk.path}>${t`${megabytes(disk.free_mb)} of ${megabytes(disk.total_mb)} free`}</dd>`)}
    ${box.temperatures.map((one) => html`<dt>${said(one.sensor)}</dt><dd class="num">${Math.round(one.celsius)} °C</dd>`)}
    ${power(box.power)}
    <dt>${t`Swap`}</dt><dd class="num">${t`${megabytes(box.swap_used_mb)} in use`}</dd></dl></section>`;
}

/** What the machine tells of its power, and what holds it back: not every one tells all of it. */
function power({ cpu_watts: watts, cpu_mhz: now, cpu_max_mhz: most, throttling }) {
  return html`${watts != null && html`<dt>${t`Processor`}</dt><dd class="num">${Math.round(watts)} W</dd>`}
    ${now != null && html`<dt>${t`Frequency`}</dt><dd class="num">${most ? t`${now} of ${most} MHz` : `${now} MHz`}</dd>`}
    ${throttling?.length > 0 && html`<dt>${t`Slowed by`}</dt><dd class="error">${throttling.map(said).join(", ")}</dd>`}`;
}
