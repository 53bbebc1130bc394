// What is not chat: speech in both directions, embeddings, reranking.
import { html } from "../lib/dom.js";
import { useLive } from "../lib/live.js";
import { able } from "../lib/models.js";
import { link } from "../lib/router.js";
import { said, t } from "../lib/words.js";
import { Embeddings } from "./tools/embeddings.js";
import { Rerank } from "./tools/rerank.js";
import { Speak } from "./tools/speak.js";
import { Transcribe } from "./tools/transcribe.js";

const TOOLS = [
  { id: "transcribe", title: "Transcribe", task: "speech", Tool: Transcribe },
  { id: "speak", title: "Speak", task: "speak", Tool: Speak },
  { id: "embeddings", title: "Embeddings", task: "embed", Tool: Embeddings },
  { id: "rerank", title: "Rerank", task: "rerank", Tool: Rerank },
];

export default function Tools({ route, who }) {
  const { report } = useLive();
  if (!report) return html`<h1>${t`Try out`}</h1><p class="quiet">…</p>`;
  const offered = TOOLS.filter((tool) => able(report, tool.task).length);
  const tool = TOOLS.find((one) => one.id === route.rest) ?? offered[0] ?? TOOLS[0];
  return html`<div class="stack">
    <h1>${t`Try out`}</h1>
    <nav class="row tight" aria-label=${t`What to try`}>${TOOLS.map((one) => html`<a key=${one.id} class="pick" href=${link("tools", one.id)}
      aria-current=${one.id === tool.id ? "true" : null}>${said(one.title)}</a>`)}</nav>
    <${One} key=${tool.id} tool=${tool} models=${able(report, tool.task)} who=${who} />
  </div>`;
}

function One({ tool, models, who }) {
  if (!models.length) return html`<p class="empty card">${t`No model is served for this.`} <a href=${link("models")}>${t`Get one`}</a></p>`;
  return html`<${tool.Tool} models=${models} who=${who} />`;
}
