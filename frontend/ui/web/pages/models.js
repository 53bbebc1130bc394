// The models of this server: what they are, what they take, and what may be done with them.
import { get, post } from "../lib/api.js";
import { html, useEffect, useState } from "../lib/dom.js";
import { bytes, count, duration, megabytes } from "../lib/format.js";
import { refresh, useLive } from "../lib/live.js";
import { State, TASKS } from "../lib/models.js";
import { failed, notice } from "../lib/notices.js";
import { link } from "../lib/router.js";
import { Configuration } from "./models/configuration.js";
import { Pulls } from "./models/pulls.js";

export default function Models({ route, who }) {
  const live = useLive();
  if (route.rest) return html`<${One} name=${route.rest} who=${who} live=${live} />`;
  const models = live.report?.models ?? [];
  return html`<div class="stack"><h1>Models</h1>
    <section class="card table"><table><thead><tr><th>Model</th><th>For</th><th>State</th><th>Engine</th><th class="num">Memory</th><th class="num">Waiting</th><th><span class="sr">What may be done</span></th></tr></thead>
      <tbody>${models.map((model) => html`<tr key=${model.name}>
        <td><a class="name" href=${link("models", model.name)}>${model.name}</a></td><td>${TASKS[model.task] ?? model.task ?? "–"}</td>
        <td><${State} model=${model} />${model.reason && html`<div class="small error">${model.reason}</div>`}</td><td>${model.engine ?? "–"}</td>
        <td class="num">${megabytes(model.memory_mb)}</td><td class="num">${model.queue?.depth ?? "–"}</td>
        <td class="right">${who.role === "admin" && html`<${Acts} model=${model} />`}</td></tr>`)}</tbody></table></section>
    ${who.role === "admin" && html`<${Pulls} /><${Configuration} />`}
  </div>`;
}

/** Does something with a model, and says so. */
async function act(name, what, body, done) {
  try {
    await post(`/admin/models/${name}/${what}`, body);
    notice(done);
  } catch (error) {
    failed(error);
  }
  await refresh();
}

function Acts({ model, pinned, all = false }) {
  const out = ["unloaded", "stopped"].includes(model.state);
  const button = (what, words, done, body = {}, kind = "") => html`<button class=${`small ${kind}`} onClick=${() => act(model.name, what, body, done)}>${words}</button>`;
  return html`<span class="row">
    ${out ? button("load", "Load", `${model.name} is being loaded`) : button("unload", "Unload", `${model.name} is being unloaded`)}
    ${all && !out && button("unload", "Unload when done", `${model.name} leaves when it has finished what it has in hand`, { force: true })}
    ${all && button("update", "Update", `${model.name} takes over what has changed of it`)}
    ${all && !out && button("restart", "Restart", `${model.name} gets fresh processes`)}
    ${all && pinned === false && button("pin", "Pin", `${model.name} stays in memory`)}${all && pinned && button("unpin", "Unpin", `${model.name} may make room for others`)}
  </span>`;
}

function One({ name, who, live }) {
  const [told, setTold] = useState(null);
  const model = live.report?.models?.find((one) => one.name === name);
  useEffect(() => {
    if (who.role === "admin" && model) get(`/admin/models/${name}`).then(setTold, failed);
  }, [name, live.at]);
  if (live.report && !model) return html`<h1>${name}</h1><p class="empty">There is no model of this name. <a href=${link("models")}>All models</a></p>`;
  if (!model) return html`<h1>${name}</h1><p class="quiet">…</p>`;
  return html`<div class="stack"><p><a href=${link("models")}>All models</a></p>
    <div class="row apart"><h1>${model.name}</h1><${State} model=${model} /></div>
    ${model.reason && html`<p class="callout bad">${model.reason}</p>`}
    <div class="row">${model.task === "chat" && html`<a class="pick" href=${link("chat", model.name)}>Chat with it</a>`}${who.role === "admin" && html`<${Acts} model=${model} pinned=${told?.residency?.pinned} all />`}</div>
    <div class="grid">
      <section class="card"><h2>What it is</h2><dl class="facts">
        <dt>For</dt><dd>${TASKS[model.task] ?? model.task}</dd><dt>Engine</dt><dd>${model.engine}</dd>
        ${told?.files?.family && html`<dt>Architecture</dt><dd>${told.files.family}</dd>`}
        ${told?.files?.parameters && html`<dt>Parameters</dt><dd class="num">${count(told.files.parameters / 1e6)} million${told.files.quantization ? `, ${told.files.quantization}` : ""}</dd>`}
        ${told?.files?.size_bytes && html`<dt>Files</dt><dd class="num">${bytes(told.files.size_bytes)} ${told.files.format ?? ""}</dd>`}
        ${told?.files?.digest && html`<dt>Digest</dt><dd><code>${told.files.digest.slice(0, 16)}…</code></dd>`}
        ${told?.aliases?.length > 0 && html`<dt>Also called</dt><dd>${told.aliases.join(", ")}</dd>`}
        ${told?.capabilities?.length > 0 && html`<dt>Can do</dt><dd>${told.capabilities.join(", ")}</dd>`}</dl></section>
      <section class="card"><h2>What it takes</h2><dl class="facts">
        <dt>Memory</dt><dd class="num">${megabytes(model.memory_mb)}${model.memory_mb == null ? "" : " as measured"}</dd>
        <dt>While it loads</dt><dd class="num">${megabytes(model.load_peak_mb)}</dd>
        ${told?.policy && html`<dt>Loaded</dt><dd>${{ always: "always", on_demand: "when somebody asks for it", never: "by hand" }[told.policy.load] ?? told.policy.load}${told.policy.load === "on_demand" && told.policy.idle_unload_s ? `; leaves after ${duration(told.policy.idle_unload_s)} without work` : ""}</dd>
        ${told.residency?.leaves_in_s != null && html`<dt>Leaves</dt><dd class="num">in ${duration(told.residency.leaves_in_s)}, unless somebody asks for it</dd>`}
        ${told.residency?.load_s > 0 && html`<dt>Its load took</dt><dd class="num">${duration(told.residency.load_s)}</dd>`}
        <dt>At once</dt><dd class="num">${told.policy.slots} requests; ${told.policy.queue_limit} may wait, each for ${duration(told.policy.queue_timeout_s)}</dd>`}</dl></section>
    </div>
    <section class="card table"><h2>Its processes</h2><table><thead><tr><th>Process</th><th>State</th><th class="num">Memory</th><th class="num">Processor</th><th class="num">Jobs</th><th class="num">Tokens</th><th class="num">Restarts</th><th>Last end</th></tr></thead>
      <tbody>${model.replicas.map((one) => html`<tr key=${one.replica}><td>${who.role === "admin" ? html`<a href=${link("logs", one.replica)}>${one.replica}</a>` : one.replica}</td><td>${one.state}${one.stage ? `: ${one.stage}` : ""}</td>
        <td class="num">${megabytes(one.rss_mb)}</td><td class="num">${one.cpu_percent == null ? "–" : `${Math.round(one.cpu_percent)} %`}</td><td class="num">${count(one.jobs)}</td><td class="num">${count(one.completion_tokens)}</td><td class="num">${one.restarts}</td><td>${one.last_exit ?? "–"}</td></tr>`)}</tbody></table></section>
  </div>`;
}
