// How alike texts are, as a matrix.
import { post } from "../../lib/api.js";
import { Copyable } from "../../lib/copy.js";
import { html, useState } from "../../lib/dom.js";
import { failed } from "../../lib/notices.js";
import { Pick } from "../../lib/pick.js";
import { curl, python } from "../../lib/snippets.js";

const EXAMPLE = "A cat sleeps on the sofa.\nThe kitten naps on the couch.\nThe invoice is due on Friday.";

export function Embeddings({ models, who }) {
  const [model, setModel] = useState(models[0].name);
  const [text, setText] = useState(EXAMPLE);
  const [found, setFound] = useState(null);
  const [code, setCode] = useState(null);
  const texts = text.split("\n").map((line) => line.trim()).filter(Boolean);
  const body = { model, input: texts };

  async function go(event) {
    event.preventDefault();
    try {
      const answer = await post("/v1/embeddings", body);
      setFound({ texts, vectors: answer.data.map((one) => one.embedding), usage: answer.usage });
    } catch (error) {
      failed(error);
    }
  }

  return html`<form class="card stack close" onSubmit=${go}>
    <${Pick} models=${models} value=${model} onChange=${setModel} />
    <div class="field"><label for="texts">Texts, one on each line</label><textarea id="texts" rows="5" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></div>
    <div class="row"><button class="main" disabled=${!texts.length}>Compare</button>
      <button type="button" class="small" onClick=${() => setCode(curl("/v1/embeddings", body, who.keys))}>as curl</button><button type="button" class="small" onClick=${() => setCode(python("/v1/embeddings", body, who.keys))}>as Python</button></div>
    ${code && html`<${Copyable} text=${code} />`}
    ${found && html`<${Matrix} ...${found} />`}
  </form>`;
}

function Matrix({ texts, vectors, usage }) {
  const alike = vectors.map((one) => vectors.map((other) => cosine(one, other)));
  return html`<div class="table"><table class="matrix"><caption class="quiet small">Cosine similarity; ${vectors[0].length} dimensions, ${usage.total_tokens} tokens</caption>
    <thead><tr><td></td>${texts.map((_, at) => html`<th key=${at} scope="col" class="num">${at + 1}</th>`)}</tr></thead>
    <tbody>${alike.map((row, at) => html`<tr key=${at}><th scope="row">${at + 1}. ${texts[at]}</th>
      ${row.map((value, other) => html`<td key=${other} class="num" style=${{ "--alike": `${Math.round(100 * Math.max(0, value))}%` }}>${value.toFixed(2)}</td>`)}</tr>`)}</tbody></table></div>`;
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
