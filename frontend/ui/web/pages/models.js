// The models of this server: what they are, what they take, and what may be done with them.
import { html } from "../lib/dom.js";
import { megabytes } from "../lib/format.js";
import { useLive } from "../lib/live.js";
import { Loading, Name, State, taskOf } from "../lib/models.js";
import { link } from "../lib/router.js";
import { t } from "../lib/words.js";
import { Acts } from "./models/acts.js";
import { One } from "./models/one.js";
import { Pulls } from "./models/pulls.js";

export default function Models({ route, who }) {
  const live = useLive();
  if (route.rest) return html`<${One} name=${route.rest} who=${who} live=${live} />`;
  const models = live.report?.models ?? [];
  const admin = who.role === "admin";
  return html`<div class="stack"><h1>${t`Models`}</h1>
    <section class="card table"><table class="cards"><thead><tr><th>${t`Model`}</th><th>${t`For`}</th><th>${t`State`}</th><th>${t`Engine`}</th>
        <th class="num">${t`Memory`}</th><th class="num">${t`Waiting`}</th><th><span class="sr">${t`What may be done`}</span></th></tr></thead>
      <tbody>${models.map((model) => html`<${Row} key=${model.name} model=${model} admin=${admin} />`)}</tbody></table>
      ${live.report && !models.length && html`<p class="empty">${t`No model is served.`}</p>`}</section>
    ${admin && html`<${Pulls} />`}
  </div>`;
}

function Row({ model, admin }) {
  return html`<tr>
    <td><a class="name" href=${link("models", model.name)}><${Name} name=${model.name} /></a></td><td data-label=${t`For`}>${taskOf(model)}</td>
    <td class="standing"><${State} model=${model} />${model.reason && html`<div class="small error">${model.reason}</div>`}<${Loading} model=${model} /></td>
    <td data-label=${t`Engine`}>${model.engine ?? "–"}</td><td class="num" data-label=${t`Memory`}>${megabytes(model.memory_mb)}</td>
    <td class="num" data-label=${t`Waiting`}>${model.queue?.depth ?? "–"}</td>
    <td class="right">${admin && html`<${Acts} model=${model} />`}</td></tr>`;
}
