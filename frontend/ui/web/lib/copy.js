// A text with a button that copies it.
import { html, useState } from "./dom.js";

const SHOWN_MS = 1500;

export async function copy(text) {
  if (navigator.clipboard) return await navigator.clipboard.writeText(text);
  // Only a secure context has it: elsewhere by the way that browsers keep for old pages.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function Copyable({ text, label = "Copy" }) {
  const [done, setDone] = useState(false);
  async function onClick() {
    await copy(text);
    setDone(true);
    setTimeout(() => setDone(false), SHOWN_MS);
  }
  return html`<div class="copyable"><pre tabindex="0"><code>${text}</code></pre>
    <button class="small" onClick=${onClick}>${done ? "Copied" : label}</button></div>`;
}
