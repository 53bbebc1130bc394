// What is in force, and where each value comes from; read only: files and the environment say it.
import { get } from "../lib/api.js";
import { html, useEffect, useState } from "../lib/dom.js";
import { failed } from "../lib/notices.js";
import { link } from "../lib/router.js";
import { t } from "../lib/words.js";
import { Reload } from "./settings/reload.js";

export default function Settings() {
  const [told, setTold] = useState(null);
  const [search, setSearch] = useState("");
  const [all, setAll] = useState(false);
  const look = () => get("/admin/config").then(setTold, failed);
  useEffect(() => void look(), []);
  if (!told) return html`<h1>${t`Settings`}</h1><p class="quiet">…</p>`;
  const words = search.toLowerCase();
  const shown = (name, one) => (words ? name.toLowerCase().includes(words) : all || one.from !== "default");
  const settings = told.settings.filter((one) => shown(one.name, one));
  return html`<div class="stack"><div class="row apart"><h1>${t`Settings`}</h1>
      <div class="row"><label class="sr" for="search">${t`Only names with`}</label><input id="search" type="search" placeholder=${t`Only names with…`} value=${search} onInput=${(event) => setSearch(event.target.value)} />
        <label class="check"><input type="checkbox" checked=${all} onChange=${(event) => setAll(event.target.checked)} />${t`Defaults, too`}</label></div></div>
    <${Reload} onDone=${look} />
    <section class="card"><h2>${t`The server`}</h2>
      ${settings.length ? html`<${Table} head=${t`Setting`}>${settings.map((one) => html`<${Setting} key=${one.name} one=${one} />`)}<//>` : html`<p class="quiet">${words ? t`None is called so.` : t`Nobody has set any.`}</p>`}</section>
    ${Object.entries(told.models).map(([name, values]) => html`<${Model} key=${name} name=${name} values=${Object.entries(values).filter(([key, one]) => shown(key, one))} />`)}
    ${told.files.length > 0 && html`<section class="card"><h2>${t`Files`}</h2><p class="quiet small">${t`Read at the start and by a reload, where they are there.`}</p>
      <ul>${told.files.map((file) => html`<li key=${file}><code class="name">${file}</code></li>`)}</ul></section>`}
  </div>`;
}

const Table = ({ head, children }) => html`<div class="table" tabindex="0" role="group" aria-label=${head}><table class="cards"><thead><tr><th>${head}</th><th>${t`Value`}</th><th>${t`From`}</th></tr></thead><tbody>${children}</tbody></table></div>`;

function Setting({ one }) {
  return html`<tr><td><code>${one.name}</code><div class="quiet small">${one.description}</div></td>
    <td data-label=${t`Value`}><div><${Value} value=${one.secret ? (one.is_set ? t`set, and never shown` : null) : one.value} />
      ${one.from !== "default" && !one.secret && html`<div class="quiet small">${t`if not set:`} <${Value} value=${one.default} /></div>`}
      ${one.restart && html`<div class="small">${t`A restart takes over what its file says now.`}</div>`}</div></td>
    <td data-label=${t`From`}><span class="tag">${one.from}</span></td></tr>`;
}

function Model({ name, values }) {
  return html`<section class="card"><h2><a class="name" href=${link("models", name)}>${name}</a></h2>
    ${values.length ? html`<${Table} head=${t`Key`}>${values.map(([key, one]) => html`<tr key=${key}><td><code>${key}</code></td>
        <td data-label=${t`Value`}><${Value} value=${one.value} /></td><td data-label=${t`From`}><div><span class="tag">${one.from}</span>${one.file && html`<div class="quiet small name">${one.file}</div>`}</div></td></tr>`)}<//>` : html`<p class="quiet">${t`Nothing is set for it.`}</p>`}</section>`;
}

function Value({ value }) {
  if (value == null || value === "" || value?.length === 0) return html`<span class="quiet">${t`nothing`}</span>`;
  return html`<span class="name">${typeof value === "string" ? value : JSON.stringify(value)}</span>`;
}
