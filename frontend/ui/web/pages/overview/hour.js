// How the last hour went, of samples that the server has kept, read once as the page is opened.
import { get } from "../../lib/api.js";
import { Spark } from "../../lib/chart.js";
import { html, useEffect, useState } from "../../lib/dom.js";
import { megabytes, rate } from "../../lib/format.js";
import { t } from "../../lib/words.js";

const MOST = 120; // one each half minute

export function Hour() {
  const [samples, setSamples] = useState([]);
  useEffect(() => {
    const left = new AbortController();
    // A server that keeps nothing has none, and the page goes without.
    get(`/admin/samples?limit=${MOST}`, { signal: left.signal }).then((told) => setSamples(told.samples), () => {});
    return () => left.abort();
  }, []);
  if (samples.length < 2) return null;
  const tokens = writtenEach(samples), total = samples.at(-1).memory_total_mb;
  const cpu = samples.map((one) => one.cpu_percent), memory = samples.map((one) => one.memory_used_mb);
  return html`<section class="card" aria-label=${t`The last hour`}><h2>${t`The last hour`}</h2><div class="grid">
    <${Chart} label=${t`Processors`} values=${cpu} most=${`${Math.round(Math.max(...cpu))} %`} top=${100} fill="c2" />
    <${Chart} label=${t`Memory`} values=${memory} most=${megabytes(Math.max(...memory))} top=${total} fill="c3" />
    <${Chart} label=${t`Tokens a second`} values=${tokens} most=${rate(Math.max(...tokens))} top=${Math.max(1, ...tokens)} fill="c1" />
  </div></section>`;
}

function Chart({ label, values, most, top, fill }) {
  return html`<figure><figcaption class="row apart"><span>${label}</span><span class="quiet small num">${t`at most ${most}`}</span></figcaption>
    <${Spark} values=${values} top=${top} fill=${fill} label=${t`${label} over the last hour, at most ${most}`} /></figure>`;
}

/** Tokens a second that all models wrote between each sample and the one before it. */
function writtenEach(samples) {
  return samples.slice(1).map((one, at) => {
    const written = Object.values(one.models).reduce((sum, model) => sum + model.written, 0);
    return written / Math.max(1, one.time - samples[at].time);
  });
}
