// What has changed in the configuration since it was read, and taking it over.
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/dom.js";
import { refresh } from "../../lib/live.js";
import { failed, notice } from "../../lib/notices.js";

export function Configuration() {
  const [plan, setPlan] = useState(null);
  const [busy, setBusy] = useState(false);
  async function ask(dryRun, downtime = false) {
    setBusy(true);
    try {
      const found = await post("/admin/reload", { dry_run: dryRun, allow_downtime: downtime });
      setPlan(dryRun ? found : null);
      if (!dryRun) notice(changes(found).length ? "The configuration has been taken over" : "Nothing had changed");
    } catch (error) {
      failed(error);
    }
    setBusy(false);
    await refresh();
  }
  const found = plan && changes(plan);
  return html`<section class="card stack close"><h2>Configuration</h2>
    <p class="quiet">The catalog, .env and the file of keys are read again, checked whole, and taken over without losing a request.</p>
    ${plan && html`<ul role="status">${found.map((one) => html`<li key=${one}>${one}</li>`)}${!found.length && html`<li>Nothing has changed.</li>`}${plan.warnings.map((one) => html`<li key=${one} class="quiet">${one}</li>`)}</ul>`}
    <div class="row"><button disabled=${busy} onClick=${() => ask(true)}>What has changed?</button>
      ${found?.length > 0 && html`<button class="main" disabled=${busy} onClick=${() => ask(false)}>Take it over</button>`}
      ${plan?.downtime.length > 0 && html`<button class="danger" disabled=${busy} onClick=${() => ask(false, true)}>Take it over, with ${plan.downtime.join(", ")} out for a while</button>`}</div></section>`;
}

/** What a plan does, a sentence each. */
function changes(plan) {
  const list = (words, names) => (names.length ? [`${words}: ${names.join(", ")}`] : []);
  const each = (words, models) => Object.entries(models).map(([name, keys]) => `${name} ${words} (${keys.join(", ")})`);
  return [
    ...list("New", plan.added), ...list("Gone", plan.removed), ...list("To be fetched first", plan.fetched),
    ...each("gets fresh workers", plan.updated), ...each("changes as it runs", plan.adjusted),
    ...list("Settings", plan.settings), ...list("Has no room beside what is loaded", plan.downtime), ...list("Left as it is", plan.left),
    ...list("Needs a restart of the server", plan.restart),
    ...Object.entries(plan.unavailable).map(([name, why]) => `${name} is not available: ${why}`),
  ];
}
