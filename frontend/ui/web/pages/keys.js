// Who may come in, what each may have, and what each has had. Whoever does not manage the server is
// shown what is his own.
import { html } from "../lib/dom.js";
import { t } from "../lib/words.js";
import { Keys } from "./keys/keys.js";
import { OwnUsage, Usage } from "./keys/usage.js";

export default function KeysAndUsage({ who }) {
  return html`<div class="stack"><h1>${t`Keys & usage`}</h1>
    ${who.role === "admin" ? html`<${Usage} /><${Keys} own=${who.name} />` : html`<${OwnUsage} />`}</div>`;
}
