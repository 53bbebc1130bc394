// How alike texts are, as a matrix.
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/dom.js";
import { decimal, duration } from "../../lib/format.js";
import { Pick } from "../../lib/pick.js";
import { CopyAs } from "../../lib/snippets.js";
import { linesOf, useTask } from "./task.js";
import { t } from "../../lib/words.js";

const EXAMPLE = "A cat sleeps on the sofa.\nThe kitten naps on the couch.\nThe invoice is due on Friday.\nPayment is expected this week.";

export function Embeddings({ models, who }) {
  const [model, setModel] = useState(models[0].name);
  const [text, setText] = useState(EXAMPLE);
  const [found, setFound] = useState(null);
  const { busy, took, run } = useTask();
  const texts = linesOf(text);
  const body = { model, input: texts };

  const go = (event) => (event.preventDefault(), run(async (signal) => {
    const answer = await post("/v1/embeddings", body, { signal });
    setFound({ texts, vectors: answer.data.map((one) => one.embedding), usage: answer.usage });
  }));

  return html`<form class="card stack close" onSubmit=${go}>
    <${Pick} models=${models} value=${model} onChange=${setModel} />
    <div class="field"><label for="texts">${t`Texts, one on each line`}</label><textarea id="texts" rows="5" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></div>
    <div class="row"><button class="main" disabled=${busy || !texts.length}>${t`Compare`}</button>${took != null && html`<span class="quiet small">${t`took ${duration(took)}`}</span>`}</div>
    <${CopyAs} path="/v1/embeddings" body=${() => body} keys=${who.keys} />
    ${found && html`<${Matrix} ...${found} />`}
  </form>`;
}

function Matrix({ texts, vectors, usage }) {
  const alike = vectors.map((one) => vectors.map((other) => cosine(one, other)));
  return html`<div class="table"><table class="matrix"><caption class="quiet small">${t`Cosine similarity; ${vectors[0].length} dimensions, ${usage.total_tokens} tokens`}</caption>
    <thead><tr><td></td>${texts.map((_, at) => html`<th key=${at} scope="col" class="num">${at + 1}</th>`)}</tr></thead>
    <tbody>${alike.map((row, at) => html`<tr key=${at}><th scope="row"><span class="quiet num">${at + 1}</span> ${texts[at]}</th>
      ${row.map((value, other) => html`<td key=${other} class="num" style=${{ "--alike": `${Math.round(100 * Math.max(0, value))}%` }}>${decimal(Math.round(100 * value) / 100 || 0, 2)}</td>`)}</tr>`)}</tbody></table></div>`;
}

function cosine(one, other) {
  let product = 0, first = 0, second = 0;
  for (let at = 0; at < one.length; at += 1) {
    product += one[at] * other[at];
    first += one[at] ** 2;
    second += other[at] ** 2;
  }
  return product / Math.sqrt(first * second);
}
