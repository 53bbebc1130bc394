// One model: what it is, what it takes, its processes.
import { get } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/dom.js";
import { bytes, count, duration, megabytes } from "../../lib/format.js";
import { Loading, Name, State, taskOf } from "../../lib/models.js";
import { failed } from "../../lib/notices.js";
import { link } from "../../lib/router.js";
import { said, t } from "../../lib/words.js";
import { Acts, Update } from "./acts.js";

export function One({ name, who, live }) {
  const [told, setTold] = useState(null);
  const admin = who.role === "admin";
  const model = live.report?.models?.find((one) => one.name === name);
  useEffect(() => {
    if (admin && model) get(`/admin/models/${name}`).then(setTold, failed);
  }, [name, model?.state, model?.update?.state]);
  const all = html`<p class="back"><a href=${link("models")}>${t`All models`}</a></p>`;
  if (live.report && !model) return html`${all}<h1>${name}</h1><p class="card empty">${t`There is no model of this name.`}</p>`;
  if (!model) return html`${all}<h1>${name}</h1><p class="quiet">…</p>`;
  return html`<div class="stack">${all}
    <div class="row apart"><h1><${Name} name=${model.name} /></h1><${State} model=${model} /></div>
    ${model.reason && html`<p class="callout bad">${model.reason}</p>`}
    <${Loading} model=${model} /><${Update} model=${model} admin=${admin} />
    <div class="row">${model.task === "chat" && html`<a class="pick" href=${link("chat", model.name)}>${t`Chat with it`}</a>`}
      ${admin && html`<a class="pick" href=${`${link("requests")}?model=${encodeURIComponent(model.name)}`}>${t`Its requests`}</a>`}
      ${admin && html`<${Acts} model=${model} all />`}</div>
    <div class="grid"><${What} model=${model} told=${told} /><${Takes} model=${model} told=${told} /></div>
    ${model.replicas?.length > 0 && html`<${Processes} replicas=${model.replicas} admin=${admin} />`}
  </div>`;
}

const fact = (label, value) => value && html`<dt>${label}</dt><dd class="num">${value}</dd>`;

function What({ model, told }) {
  const files = told?.files ?? {};
  const quantization = files.quantization ? `, ${files.quantization}` : "";
  return html`<section class="card"><h2>${t`What it is`}</h2><dl class="facts">
    ${fact(t`For`, taskOf(model))}${fact(t`Engine`, model.engine)}${fact(t`Device`, told?.device)}
    ${fact(t`Architecture`, files.family)}
    ${fact(t`Parameters`, files.parameters && t`${count(files.parameters / 1e6)} million` + quantization)}
    ${fact(t`Files`, files.size_bytes && `${bytes(files.size_bytes)} ${files.format ?? ""}`)}
    ${fact(t`Digest`, files.digest && html`<code>${files.digest.slice(0, 16)}…</code>`)}
    ${fact(t`Also called`, told?.aliases?.join(", "))}
    ${fact(t`Can do`, told?.capabilities?.join(", "))}</dl></section>`;
}

function Takes({ model, told }) {
  const policy = told?.policy;
  const loaded = { always: t`always`, on_demand: t`when somebody asks for it`, never: t`by hand` };
  const leaves = policy?.load === "on_demand" && policy.idle_unload_s > 0 && t`; leaves after ${duration(policy.idle_unload_s)} without work`;
  return html`<section class="card"><h2>${t`What it takes`}</h2><dl class="facts">
    ${fact(t`Memory`, model.memory_mb == null ? "–" : t`${megabytes(model.memory_mb)} as measured`)}
    ${fact(t`While it loads`, megabytes(model.load_peak_mb))}
    ${fact(t`Its load took`, model.load_s > 0 && duration(model.load_s))}
    ${fact(t`Loaded`, policy && html`${loaded[policy.load] ?? policy.load}${leaves || ""}${model.pinned && policy.load !== "always" ? t`; pinned` : ""}`)}
    ${fact(t`Leaves`, model.leaves_in_s != null && t`in ${duration(model.leaves_in_s)}, unless somebody asks for it`)}
    ${fact(t`Workers`, model.scaling && t`${model.scaling.wanted}, of ${model.scaling.min} to ${model.scaling.max}` + (model.scaling.why ? `; ${model.scaling.why}` : ""))}
    ${fact(t`At once`, policy && t`${policy.slots}; ${policy.queue_limit} may wait, each for ${duration(policy.queue_timeout_s)}`)}</dl></section>`;
}

function Processes({ replicas, admin }) {
  return html`<section class="card table"><h2>${t`Its processes`}</h2><table><thead><tr><th>${t`Process`}</th><th>${t`State`}</th><th class="num">${t`Memory`}</th>
      <th class="num">${t`Processor`}</th><th class="num">${t`Jobs`}</th><th class="num">${t`Tokens`}</th><th class="num">${t`Restarts`}</th><th>${t`Last end`}</th></tr></thead>
    <tbody>${replicas.map((one) => html`<tr key=${one.replica}><td>${admin ? html`<a href=${link("logs", one.replica)}>${one.replica}</a>` : one.replica}</td>
      <td>${said(one.state)}${one.stage ? `: ${one.stage}` : ""}</td><td class="num">${megabytes(one.rss_mb)}</td><td class="num">${one.cpu_percent == null ? "–" : `${Math.round(one.cpu_percent)} %`}</td>
      <td class="num">${count(one.jobs)}</td><td class="num">${count(one.completion_tokens)}</td><td class="num">${one.restarts}</td><td>${one.last_exit ?? "–"}</td></tr>`)}</tbody></table></section>`;
}
