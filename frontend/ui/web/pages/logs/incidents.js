// What has gone wrong: a file for each, to be kept or passed on.
import { get } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/dom.js";
import { every } from "../../lib/every.js";
import { bytes } from "../../lib/format.js";
import { t } from "../../lib/words.js";

const EVERY_MS = 10000;

export default function Incidents() {
  const [found, setFound] = useState([]);
  useEffect(() => every(EVERY_MS, async (signal) => setFound((await get("/admin/incidents", { signal })).incidents)), []);
  if (!found.length) return null;
  return html`<details class="card incidents"><summary>${t`What has gone wrong: ${found.length}`}</summary>
    <ul class="stack close">${found.map((one) => html`<li key=${one.id}><time class="quiet num">${new Date(one.time * 1000).toLocaleString()}</time> ${one.told}
      <a href=${`/admin/incidents/${encodeURIComponent(one.id)}`} download=${`${one.id}.json.gz`}>${t`Its file (${bytes(one.bytes)})`}</a></li>`)}</ul>
    <p class="quiet small">${t`A file has no prompt and no answer. edge-serve replay makes its load again.`}</p>
  </details>`;
}
