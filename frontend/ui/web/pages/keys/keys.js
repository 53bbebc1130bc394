// The keys: made, changed, removed. A secret is shown once, and kept nowhere on this page.
import { get, patch, post, remove } from "../../lib/api.js";
import { Copyable } from "../../lib/copy.js";
import { html, useEffect, useState } from "../../lib/dom.js";
import { count } from "../../lib/format.js";
import { failed, notice } from "../../lib/notices.js";
import { t } from "../../lib/words.js";

const LIMITS = {
  requests_per_min: () => t`Requests a minute`,
  tokens_per_min: () => t`Tokens a minute`,
  tokens_per_day: () => t`Tokens a day`,
  concurrent: () => t`Requests at once`,
};
const path = (name) => `/admin/keys/${encodeURIComponent(name)}`;

export function Keys({ own }) {
  const [told, setTold] = useState(null);
  const [made, setMade] = useState(null); // the key whose secret was told just now
  const look = () => get("/admin/keys").then(setTold, failed);
  useEffect(() => void look(), []);
  async function act(what, words) {
    try {
      const key = await what();
      setMade(key.secret ? key : null);
      notice(words);
      await look();
      return true;
    } catch (error) {
      failed(error);
      return false;
    }
  }
  if (!told) return html`<section class="card"><h2>${t`Keys`}</h2><p class="quiet">…</p></section>`;
  return html`<section class="card stack close"><h2>${t`Keys`}</h2>
    ${told.why_not_changeable && html`<p class="callout">${told.why_not_changeable}</p>`}
    ${made && html`<div class="callout plainly" role="status"><p><strong>${made.name}</strong>: ${t`write it down now. It is not shown again, and nobody can look it up.`}</p><${Copyable} text=${made.secret} /></div>`}
    ${told.keys.length > 0 && html`<div class="table" role="region" tabindex="0" aria-label=${t`Keys`}><table>
      <thead><tr><th>${t`Key`}</th><th>${t`Role`}</th><th>${t`May have`}</th><th>${t`Models`}</th><th><span class="sr">${t`What may be done`}</span></th></tr></thead>
      <tbody>${told.keys.map((key) => html`<${Row} key=${key.name} one=${key} own=${own === key.name} act=${act} />`)}</tbody></table></div>`}
    ${!told.why_not_changeable && html`<details class="options"><summary>${t`Make a key`}</summary><${Form} words=${t`Make it`} onDone=${(name, wish) => act(() => post(path(name), wish), t`The key ${name} is let in`)} /></details>`}
  </section>`;
}

function Row({ one, own, act }) {
  const [open, setOpen] = useState(false);
  const [sure, setSure] = useState(false);
  const limits = Object.keys(LIMITS).filter((limit) => one[limit]).map((limit) => `${LIMITS[limit]()}: ${count(one[limit])}`);
  const renew = () => act(() => patch(path(one.name), { new_secret: true }), t`${one.name} has another secret; the one before is let in no more`);
  const drop = () => act(() => remove(path(one.name)), t`The key ${one.name} is let in no more`);
  const change = async (name, wish) => (await act(() => patch(path(name), wish), t`The key ${name} is changed`)) && setOpen(false);
  return html`<tr><td class="name">${one.name}${own && html` <span class="tag">${t`this one`}</span>`}</td><td>${one.role}</td>
      <td>${limits.join(", ") || html`<span class="quiet">${t`as much as it likes`}</span>`}</td><td>${one.models.join(", ") || html`<span class="quiet">${t`all`}</span>`}</td>
      <td class="right">${one.changeable ? html`<span class="row">
        <button class="small" aria-expanded=${open} onClick=${() => setOpen(!open)}>${t`Change`}</button>
        <button class="small" onClick=${renew}>${t`New secret`}</button>
        ${sure ? html`<button class="small danger" onClick=${drop}>${t`Really remove`}</button><button class="small" onClick=${() => setSure(false)}>${t`Keep`}</button>`
          : html`<button class="small danger" onClick=${() => setSure(true)}>${t`Remove`}</button>`}</span>` : html`<span class="quiet small">${t`not from the file`}</span>`}</td></tr>
    ${open && html`<tr><td colspan="5"><${Form} one=${one} words=${t`Change it`} onDone=${change} /></td></tr>`}`;
}

function Form({ one, words, onDone }) {
  const id = (field) => `${one?.name ?? "new"}-${field}`;
  async function submit(event) {
    event.preventDefault();
    const form = event.target, given = new FormData(form);
    const wish = { role: given.get("role"), models: given.get("models").split(",").map((name) => name.trim()).filter(Boolean) };
    for (const limit of Object.keys(LIMITS)) wish[limit] = Number(given.get(limit) || 0);
    if ((await onDone(one?.name ?? given.get("name").trim(), wish)) && !one) form.reset();
  }
  return html`<form class="stack close" onSubmit=${submit}><div class="row">
    ${!one && html`<div class="field"><label for=${id("name")}>${t`Name`}</label><input id=${id("name")} name="name" required maxlength="64" pattern="[A-Za-z0-9._\\-]+" title=${t`Letters, digits, . _ -`} autocomplete="off" /></div>`}
    <div class="field"><label for=${id("role")}>${t`Role`}</label><select id=${id("role")} name="role">${["user", "admin"].map((role) => html`<option key=${role} value=${role} selected=${role === (one?.role ?? "user")}>${role}</option>`)}</select></div>
    ${Object.entries(LIMITS).map(([limit, label]) => html`<div class="field" key=${limit}><label for=${id(limit)}>${label()}</label><input id=${id(limit)} name=${limit} type="number" min="0" inputmode="numeric" placeholder=${t`no limit`} defaultValue=${one?.[limit] || ""} /></div>`)}
    <div class="field grow"><label for=${id("models")}>${t`Models, with commas; empty: all`}</label><input id=${id("models")} name="models" class="wide" autocomplete="off" defaultValue=${one?.models.join(", ") ?? ""} /></div></div>
    <button class="main">${words}</button></form>`;
}
