// Says that what is shown is old, for as long as the server does not answer.
import { html, useEffect, useState } from "./dom.js";
import { duration } from "./format.js";
import { useLive } from "./live.js";
import { t } from "./words.js";

const EVERY_MS = 1000;

export function Stale() {
  const { error, at } = useLive();
  const [, draw] = useState(0);
  useEffect(() => {
    if (!error) return;
    const timer = setInterval(() => draw((n) => n + 1), EVERY_MS);
    return () => clearInterval(timer);
  }, [error]);
  // Said once to who listens: the seconds that go by are for who sees.
  return html`<div class="stale" role="alert">${error && html`<span class="sr">${t`No answer from the server`}</span>
    <span class="badge" aria-hidden="true" title=${error.message}>${at ? t`No answer for ${duration(Date.now() / 1000 - at)}` : t`No answer`}</span>`}</div>`;
}
