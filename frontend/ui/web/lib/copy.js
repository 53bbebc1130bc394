// A text with a button that copies it.
import { html, render, useState } from "./dom.js";
import { failed } from "./notices.js";
import { t } from "./words.js";

const SHOWN_MS = 1500;

/** Throws where the browser does not let it. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text); // which only a secure context has, and may be forbidden there
  } catch {
    copyAsOldPages(text);
  }
}

function copyAsOldPages(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error(t`the browser does not let it be copied`);
}

/** `text`, or a function that gives it where it is long. */
export function Copy({ text, kind = "" }) {
  const [done, setDone] = useState(false);
  async function onClick() {
    try {
      await copy(typeof text === "function" ? text() : text);
      setDone(true);
      setTimeout(() => setDone(false), SHOWN_MS);
    } catch (error) {
      failed(error);
    }
  }
  return html`<button type="button" class=${`small ${kind}`} onClick=${onClick}>${done ? t`Copied` : t`Copy`}</button>`;
}

export const Copyable = ({ text }) =>
  html`<div class="copyable"><pre tabindex="0"><code>${text}</code></pre><${Copy} text=${text} /></div>`;

/** The same for what stands in `place` already and is not drawn by preact. */
export function makeCopyable(place) {
  for (const pre of place.querySelectorAll("pre")) {
    const around = document.createElement("div");
    around.className = "copyable";
    const text = pre.textContent;
    pre.tabIndex = 0; // who has no mouse pushes a long line aside
    pre.replaceWith(around);
    const button = document.createElement("span");
    around.append(pre, button);
    render(html`<${Copy} text=${text} />`, button);
  }
}
