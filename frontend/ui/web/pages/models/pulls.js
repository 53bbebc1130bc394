// Models that the server fetches by itself, whether or not this page stays open.
import { get, post, remove } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/dom.js";
import { every } from "../../lib/every.js";
import { bytes, duration, megabytes } from "../../lib/format.js";
import { taskOf } from "../../lib/models.js";
import { failed, notice } from "../../lib/notices.js";
import { said, t } from "../../lib/words.js";

const EVERY_MS = 2000;
const VERDICTS = {
  fits: ["ready", "It fits."],
  fits_alone: ["loading", "It fits once others have given memory back."],
  no_memory: ["failed", "This box has too little memory for it."],
  no_disk: ["failed", "The disk has too little room for it."],
};

export function Pulls() {
  const [pulls, setPulls] = useState([]);
  const look = async () => setPulls((await get("/admin/pulls")).pulls.filter((pull) => pull.state !== "cancelled"));
  useEffect(() => every(EVERY_MS, look), []);
  return html`<section class="card stack close"><h2>${t`Get a model`}</h2>
    <${Ask} onDone=${look} />
    ${pulls.length > 0 && html`<ul class="pulls">${pulls.map((pull) => html`<${Pull} key=${pull.id} pull=${pull} onDone=${look} />`)}</ul>`}
  </section>`;
}

function Ask({ onDone }) {
  const [source, setSource] = useState("");
  const [estimate, setEstimate] = useState(null);
  const [busy, setBusy] = useState(false);
  const asked = { source: source.trim() };
  const found = estimate?.source === asked.source ? estimate : null; // another one may have been named meanwhile
  async function look(event) {
    event.preventDefault();
    setBusy(true);
    setEstimate(null);
    try {
      setEstimate({ ...(await post("/admin/pulls?estimate=1", asked)), ...asked });
    } catch (error) {
      failed(error);
    }
    setBusy(false);
  }
  async function start() {
    try {
      await post("/admin/pulls", { ...asked, force: ["no_memory", "no_disk"].includes(found.verdict) });
      notice(t`${asked.source} is being fetched`);
      setSource("");
      setEstimate(null);
    } catch (error) {
      failed(error);
    }
    await onDone();
  }
  return html`<form class="stack close" onSubmit=${look}>
    <div class="row"><div class="field grow"><label for="source">${t`A model of the catalog, or of the hub as hf:publisher/repository, with :variant if you want a certain one`}</label>
      <input id="source" class="wide" required placeholder="hf:unsloth/Qwen3-0.6B-GGUF:Q4_K_M" value=${source} onInput=${(event) => setSource(event.target.value)} /></div></div>
    <div class="row"><button disabled=${busy || !asked.source}>${busy ? t`Looking…` : t`What would it take?`}</button>
      ${found && html`<button type="button" class="main" onClick=${start}>${t`Get it`}</button>`}</div>
    ${found && html`<${Estimate} found=${found} />`}</form>`;
}

function Estimate({ found }) {
  const [kind, words] = VERDICTS[found.verdict] ?? ["out", "Nobody knows whether it fits."];
  return html`<div class="callout plainly" role="status"><p><span class=${`state ${kind}`}>${said(words)}</span></p>
    <dl class="facts"><dt>${t`Model`}</dt><dd>${found.model}${found.variant ? `, ${found.variant}` : ""}</dd><dt>${t`For`}</dt><dd>${t`${taskOf(found)}, by ${found.engine} on ${found.device}`}</dd>
      <dt>${t`To fetch`}</dt><dd class="num">${t`${bytes(found.fetch_bytes)}; the disk has ${bytes(found.disk_free_bytes)} free`}</dd>
      <dt>${t`Memory`}</dt><dd class="num">${found.memory_mb ? t`about ${megabytes(found.memory_mb)}` : t`not known`}; ${t`${megabytes(found.memory_free_mb)} of ${megabytes(found.memory_total_mb)} are free`}</dd></dl>
    ${found.remarks.map((remark) => html`<p key=${remark} class="small">${remark}</p>`)}</div>`;
}

function Pull({ pull, onDone }) {
  async function act(what) {
    const path = `/admin/pulls/${encodeURIComponent(pull.id)}`;
    try {
      await (what === "cancel" ? remove(path) : post(`${path}/${what}`));
    } catch (error) {
      failed(error);
    }
    await onDone();
  }
  const share = pull.total_bytes ? pull.done_bytes / pull.total_bytes : 0;
  const goes = ["waiting", "running"].includes(pull.state);
  return html`<li class="stack close"><div class="row apart"><span class="name grow">${pull.model || pull.source}</span>
      <span class="row"><span class="quiet">${said(pull.state === "running" ? pull.doing || "running" : pull.state)}</span>
        ${goes && html`<button type="button" class="small" onClick=${() => act("pause")}>${t`Pause`}</button>`}
        ${["paused", "failed"].includes(pull.state) && html`<button type="button" class="small" onClick=${() => act("resume")}>${t`Go on`}</button>`}
        ${(goes || ["paused", "failed"].includes(pull.state)) && html`<button type="button" class="small danger" onClick=${() => act("cancel")}>${t`Cancel`}</button>`}</span></div>
    ${pull.total_bytes > 0 && pull.state !== "finished" && html`<progress max="1" value=${share} aria-label=${t`How much of ${pull.model || pull.source} is here`}></progress>
      <p class="quiet small num">${t`${bytes(pull.done_bytes)} of ${bytes(pull.total_bytes)}`}${pull.bytes_per_s ? t`, ${bytes(pull.bytes_per_s)} a second` : ""}${pull.eta_s != null ? t`, ${duration(pull.eta_s)} to go` : ""}</p>`}
    ${pull.error && html`<p class="error small">${pull.error}</p>`}</li>`;
}
