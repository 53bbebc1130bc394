// What may be done with a model. What becomes of it, the server decides.
import { post } from "../../lib/api.js";
import { html } from "../../lib/dom.js";
import { duration } from "../../lib/format.js";
import { refresh } from "../../lib/live.js";
import { failed, notice } from "../../lib/notices.js";
import { t } from "../../lib/words.js";

/** Does something with a model, and says so. */
async function act(name, what, done, body = {}) {
  try {
    await post(`/admin/models/${name}/${what}`, body);
    notice(done);
  } catch (error) {
    failed(error);
  }
  await refresh();
}

function Button({ model, what, done, body, kind = "", children }) {
  return html`<button class=${`small ${kind}`} onClick=${() => act(model.name, what, done, body)}>${children}</button>`;
}

const isOut = (model) => ["unloaded", "stopped"].includes(model.state);
const hasFailed = (model) => ["failed", "backoff"].includes(model.state);

/** To load it or have it leave: `all` that may be done stands on its own page. */
export function Acts({ model, all = false }) {
  const name = model.name;
  return html`<span class="row tight">
    ${(isOut(model) || hasFailed(model)) && html`<${Button} model=${model} what="load" done=${t`${name} is being loaded`} kind=${all ? "main" : ""}>${t`Load`}<//>`}
    ${!isOut(model) && (all || !hasFailed(model)) && html`<${Button} model=${model} what="unload" done=${t`${name} is being unloaded`}>${t`Unload`}<//>`}
    ${all && html`<${MoreActs} model=${model} />`}
  </span>`;
}

function MoreActs({ model }) {
  const name = model.name;
  const pin = model.pinned
    ? html`<${Button} model=${model} what="unpin" done=${t`${name} may make room for others`}>${t`Unpin`}<//>`
    : html`<${Button} model=${model} what="pin" done=${t`${name} stays in memory`}>${t`Pin`}<//>`;
  return html`${!isOut(model) && !hasFailed(model) && html`<${Button} model=${model} what="unload" body=${{ force: true }} done=${t`${name} leaves when it has finished what it has in hand`}>${t`Unload when done`}<//>
      <${Button} model=${model} what="restart" done=${t`${name} gets fresh processes`}>${t`Restart`}<//>`}
    ${pin}
    ${!model.update && html`<${Button} model=${model} what="update" done=${t`${name} takes over what has changed of it`}>${t`Update`}<//>`}`;
}

/** How far an update is, for as long as there is one, and the way back. */
export function Update({ model, admin }) {
  const update = model.update;
  if (!update) return null;
  const loads = update.state === "loading";
  return html`<section class="callout stack close" role="status"><div class="row apart">
    <div class="grow"><strong>${loads ? t`An update is being loaded beside the workers that serve` : t`The update serves, and is watched`}</strong>
      <div class="small">${loads ? update.stage ?? t`It takes no request before it has answered a first one by itself.` : t`The workers from before are kept for ${duration(update.done_in_s)} more.`}</div></div>
    ${admin && update.may_go_back && html`<${Button} model=${model} what="rollback" kind="danger" done=${t`${model.name} is served as before`}>${loads ? t`Give it up` : t`Roll back`}<//>`}</div>
    ${loads && html`<progress aria-label=${t`The update of ${model.name}`}></progress>`}</section>`;
}
