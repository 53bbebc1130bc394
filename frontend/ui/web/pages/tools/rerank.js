// Documents in the order in which they answer a question.
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/dom.js";
import { decimal, duration } from "../../lib/format.js";
import { Pick } from "../../lib/pick.js";
import { CopyAs } from "../../lib/snippets.js";
import { linesOf, useTask } from "./task.js";
import { t } from "../../lib/words.js";

export function Rerank({ models, who }) {
  const [model, setModel] = useState(models[0].name);
  const [query, setQuery] = useState("What is the capital of France?");
  const [text, setText] = useState("Berlin is the capital of Germany.\nParis is the capital of France.\nBread is made of flour.");
  const [found, setFound] = useState(null);
  const { busy, took, run } = useTask();
  const documents = linesOf(text);
  const body = { model, query, documents };

  const go = (event) => (event.preventDefault(), run(async (signal) => {
    const answer = await post("/v1/rerank", body, { signal });
    setFound(answer.results.map((one) => ({ text: documents[one.index], score: one.relevance_score })));
  }));

  return html`<form class="card stack close" onSubmit=${go}>
    <${Pick} models=${models} value=${model} onChange=${setModel} />
    <div class="field"><label for="query">${t`Question`}</label><input id="query" class="wide" value=${query} onInput=${(event) => setQuery(event.target.value)} /></div>
    <div class="field"><label for="documents">${t`Documents, one on each line`}</label><textarea id="documents" rows="5" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></div>
    <div class="row"><button class="main" disabled=${busy || !query.trim() || !documents.length}>${t`Rank`}</button>${took != null && html`<span class="quiet small">${t`took ${duration(took)}`}</span>`}</div>
    <${CopyAs} path="/v1/rerank" body=${() => body} keys=${who.keys} />
    ${found && html`<ol class="ranked">${found.map((one, at) => html`<li key=${at}><meter min="0" max="1" value=${one.score} aria-label=${t`Score`}></meter> <span class="num">${decimal(one.score, 3)}</span> <span>${one.text}</span></li>`)}</ol>`}
  </form>`;
}
