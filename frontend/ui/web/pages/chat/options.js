// How a chat model is asked: system prompt, tools, schema, how it chooses its words.
import { html } from "../../lib/dom.js";
import { CopyAs } from "../../lib/snippets.js";
import { t } from "../../lib/words.js";

export function Options({ options, onChange, request, keys }) {
  const set = (name) => (event) => onChange({ ...options, [name]: event.target.value });
  const field = (name, label, extra) => html`<div class="field"><label for=${name}>${label}</label>
    <input id=${name} type="number" value=${options[name]} onInput=${set(name)} ...${extra} /></div>`;
  const area = (name, label, hint) => html`<div class="field grow"><label for=${name}>${label}</label>
    <textarea id=${name} rows="3" spellcheck="false" placeholder=${hint} value=${options[name]} onInput=${set(name)}></textarea></div>`;
  const some = ["system", "tools", "schema", "temperature", "max_tokens"].some((name) => options[name]);
  return html`<details class="card options"><summary>${some ? t`Options (some are set)` : t`Options`}</summary>
    <div class="stack close">
      ${area("system", t`System prompt`, t`You are …`)}
      <div class="row">${field("temperature", t`Temperature`, { min: 0, max: 2, step: 0.1, placeholder: t`the model's` })}
        ${field("max_tokens", t`Most tokens`, { min: 1, placeholder: t`the model's` })}</div>
      <div class="row">${area("tools", t`Tools, as JSON`, '[{"type": "function", "function": {"name": "…", "parameters": {…}}}]')}
        ${area("schema", t`Schema of the answer, as JSON`, '{"type": "object", "properties": {…}}')}</div>
      <${CopyAs} path="/v1/chat/completions" body=${() => ({ ...request(), stream: true })} keys=${keys} />
    </div></details>`;
}
