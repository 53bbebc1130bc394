// The choice of a model, where there is one to make.
import { html } from "./dom.js";
import { t } from "./words.js";

export function Pick({ models, value, onChange }) {
  return html`<div class="field"><label for="tool-model">${t`Model`}</label>
    <select id="tool-model" value=${value} onChange=${(event) => onChange(event.target.value)}>
      ${models.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}${one.state === "ready" ? "" : ` (${t`to be loaded`})`}</option>`)}</select></div>`;
}
