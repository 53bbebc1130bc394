// The choice of a model, where there is one to make.
import { html } from "./dom.js";

export function Pick({ models, value, onChange }) {
  return html`<div class="field"><label for="tool-model">Model</label>
    <select id="tool-model" value=${value} onChange=${(event) => onChange(event.target.value)}>
      ${models.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select></div>`;
}
