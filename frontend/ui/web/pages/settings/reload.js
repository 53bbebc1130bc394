// What has changed in the configuration since it was read, and taking it over.
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/dom.js";
import { refresh } from "../../lib/live.js";
import { failed, notice } from "../../lib/notices.js";
import { t } from "../../lib/words.js";

export function Reload({ onDone }) {
  const [plan, setPlan] = useState(null);
  const [busy, setBusy] = useState(false);
  async function ask(dryRun, downtime = false) {
    setBusy(true);
    try {
      const found = await post("/admin/reload", { dry_run: dryRun, allow_downtime: downtime });
      setPlan(dryRun ? found : null);
      if (!dryRun) notice(changes(found).length ? t`The configuration has been taken over` : t`Nothing had changed`);
    } catch (error) {
      failed(error);
    }
    setBusy(false);
    await refresh();
    if (!dryRun) onDone();
  }
  const found = plan && changes(plan);
  return html`<section class="card stack close"><h2>${t`Configuration`}</h2>
    <p class="quiet">${t`The catalog, .env and the file of keys are read again, checked whole, and taken over without losing a request.`}</p>
    ${plan && html`<ul role="status">${found.map((one) => html`<li key=${one}>${one}</li>`)}${!found.length && html`<li>${t`Nothing has changed.`}</li>`}${plan.warnings.map((one) => html`<li key=${one} class="quiet">${one}</li>`)}</ul>`}
    <div class="row"><button disabled=${busy} onClick=${() => ask(true)}>${t`What has changed?`}</button>
      ${found?.length > 0 && html`<button class="main" disabled=${busy} onClick=${() => ask(false)}>${t`Take it over`}</button>`}
      ${plan?.downtime.length > 0 && html`<button class="danger" disabled=${busy} onClick=${() => ask(false, true)}>${t`Take it over, with ${plan.downtime.join(", ")} out for a while`}</button>`}</div></section>`;
}

/** What a plan does, a sentence each. */
function changes(plan) {
  const list = (words, names) => (names.length ? [`${words}: ${names.join(", ")}`] : []);
  const each = (words, models) => Object.entries(models).map(([name, keys]) => `${name} ${words} (${keys.join(", ")})`);
  return [
    ...list(t`New`, plan.added), ...list(t`Gone`, plan.removed), ...list(t`To be fetched first`, plan.fetched),
    ...each(t`gets fresh workers`, plan.updated), ...each(t`changes as it runs`, plan.adjusted),
    ...list(t`Settings`, plan.settings), ...list(t`Has no room beside what is loaded`, plan.downtime), ...list(t`Left as it is`, plan.left),
    ...list(t`Needs a restart of the server`, plan.restart),
    ...Object.entries(plan.unavailable).map(([name, why]) => t`${name} is not available: ${why}`),
  ];
}
