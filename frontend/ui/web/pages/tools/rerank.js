// Documents in the order in which they answer a question.
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/dom.js";
import { failed } from "../../lib/notices.js";
import { Pick } from "../../lib/pick.js";

export function Rerank({ models }) {
  const [model, setModel] = useState(models[0].name);
  const [query, setQuery] = useState("What is the capital of France?");
  const [text, setText] = useState("Berlin is the capital of Germany.\nParis is the capital of France.\nBread is made of flour.");
  const [found, setFound] = useState(null);
  const documents = text.split("\n").map((line) => line.trim()).filter(Boolean);

  async function go(event) {
    event.preventDefault();
    try {
      const answer = await post("/v1/rerank", { model, query, documents });
      setFound(answer.results.map((one) => ({ text: documents[one.index], score: one.relevance_score })));
    } catch (error) {
      failed(error);
    }
  }

  return html`<form class="card stack close" onSubmit=${go}>
    <${Pick} models=${models} value=${model} onChange=${setModel} />
    <div class="field"><label for="query">Question</label><input id="query" class="wide" value=${query} onInput=${(event) => setQuery(event.target.value)} /></div>
    <div class="field"><label for="documents">Documents, one on each line</label><textarea id="documents" rows="5" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></div>
    <div class="row"><button class="main" disabled=${!query.trim() || !documents.length}>Rank</button></div>
    ${found && html`<ol class="ranked">${found.map((one, at) => html`<li key=${at}><meter min="0" max="1" value=${one.score} aria-label="Score"></meter> <span class="num">${one.score.toFixed(3)}</span> ${one.text}</li>`)}</ol>`}
  </form>`;
}
