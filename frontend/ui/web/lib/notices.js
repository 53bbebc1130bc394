// Short messages at the edge of the page: what has been done, or why it could not be.
import { html, useEffect, useState } from "./dom.js";
import { t } from "./words.js";

const STAYS_MS = 6000;
let notices = [];
let listener = () => {};
let next = 1;

export function notice(text, kind = "info") {
  const one = { id: next++, text, kind };
  notices = [...notices.slice(-3), one];
  listener(notices);
  if (kind !== "error") setTimeout(() => dismiss(one.id), STAYS_MS);
}

export const failed = (error) => notice(error.message, "error");

function dismiss(id) {
  notices = notices.filter((one) => one.id !== id);
  listener(notices);
}

export function Notices() {
  const [shown, setShown] = useState(notices);
  useEffect(() => {
    listener = setShown;
    return () => (listener = () => {});
  }, []);
  return html`<div class="notices" role="status" aria-live="polite">
    ${shown.map((one) => html`<div key=${one.id} class=${`notice ${one.kind}`}>
      <span>${one.text}</span>
      <button class="plain" aria-label=${t`Dismiss`} onClick=${() => dismiss(one.id)}>×</button>
    </div>`)}
  </div>`;
}
