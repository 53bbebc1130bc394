// One turn of a conversation, and what may be done with it.
import { figures } from "../../lib/asking.js";
import { Copy } from "../../lib/copy.js";
import { html, useState } from "../../lib/dom.js";
import { duration, rate } from "../../lib/format.js";
import { Markdown } from "../../lib/markdown.js";
import { t } from "../../lib/words.js";
import { Aloud } from "./aloud.js";
import { textOf } from "./request.js";

export function Turn(given) {
  if (given.turn.role === "tool") return html`<div class="turn tool"><pre>${given.turn.content}</pre></div>`;
  return given.turn.role === "user" ? html`<${Asked} ...${given} />` : html`<${Answer} ...${given} />`;
}

function Asked({ turn, busy, onChange, number, branches, onChoose }) {
  const [editing, setEditing] = useState(null);
  const text = textOf(turn);
  const images = Array.isArray(turn.content) ? turn.content.filter((part) => part.type === "image_url") : [];
  if (editing !== null) {
    return html`<div class="turn user editing">
      <textarea rows="3" aria-label=${t`Change what was asked`} value=${editing} onInput=${(event) => setEditing(event.target.value)}></textarea>
      <div class="row"><button class="main small" onClick=${() => (setEditing(null), onChange(editing))}>${t`Ask again`}</button>
        <button class="small" onClick=${() => setEditing(null)}>${t`Leave it`}</button></div></div>`;
  }
  return html`<div class="turn user"><div class="said">
      ${images.map((part, at) => html`<img key=${at} src=${part.image_url.url} alt=${t`Attached`} />`)}<p>${text}</p></div>
    <div class="row tight acts"><${Copy} text=${text} kind="plain" /><button class="plain small" disabled=${busy} onClick=${() => setEditing(text)}>${t`Edit`}</button>
      <${Branches} ...${{ number, branches, busy, onChoose }} /></div></div>`;
}

function Answer({ turn, busy, report, onAgain, onResults, number, branches, onChoose }) {
  const over = turn.ended || turn.stopped || turn.failed;
  return html`<div class="turn assistant">
    ${turn.reasoning && html`<details class="reasoning" open=${!turn.content && !over}>
      <summary>${turn.content || over ? t`Its reasoning` : t`Thinking…`}${turn.thought_s != null && ` (${duration(turn.thought_s)})`}</summary><div class="asis">${turn.reasoning}</div></details>`}
    ${turn.content && html`<${Markdown} text=${turn.content} whole=${over} />`}
    ${turn.calls.length > 0 && html`<${Calls} calls=${turn.calls} asks=${over && !busy} onResults=${onResults} />`}
    ${!over && !turn.content && !turn.reasoning && !turn.calls.length && html`<span class="writing" aria-hidden="true"></span>`}
    <div class="row tight small quiet acts">
      ${over && html`<button class="plain small" disabled=${busy} onClick=${onAgain}>${t`Retry`}</button>
        ${turn.content && html`<${Copy} text=${turn.content} kind="plain" /><${Aloud} text=${turn.content} report=${report} />`}
        <${Branches} ...${{ number, branches, busy, onChoose }} />`}
      ${turn.status && html`<span class=${turn.failed ? "error" : ""}>${turn.status}</span>`}<${Figures} turn=${turn} />
    </div>
  </div>`;
}

function Figures({ turn }) {
  const found = figures(turn);
  if (!found) return null;
  const words = [
    t`${found.written ?? "?"} tokens written`, found.rate && t`${rate(found.rate)} a second`,
    found.first_s != null && t`the first after ${duration(found.first_s)}`,
    t`${found.prompt ?? "?"} read`, found.cached && t`${found.cached} of them known`,
  ];
  return html`<span class="num figures">${words.filter(Boolean).join(", ")}</span>`;
}

/** Which of several that stand for this turn is shown. */
function Branches({ number, branches = [], busy, onChoose }) {
  if (branches.length < 2) return null;
  const at = branches.indexOf(number);
  const step = (to, label, sign) => html`<button class="plain small" aria-label=${label} disabled=${busy || !(to in branches)} onClick=${() => onChoose(branches[to])}>${sign}</button>`;
  return html`<span class="row tight branches">${step(at - 1, t`The one before`, "‹")}<span class="num">${at + 1}/${branches.length}</span>${step(at + 1, t`The next one`, "›")}</span>`;
}

/** What a model wants to know from tools. Here it is you who knows it. */
function Calls({ calls, asks, onResults }) {
  const [texts, setTexts] = useState({});
  function answer(event) {
    event.preventDefault();
    onResults(calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: texts[call.id] ?? "" })));
  }
  return html`<form class="call" onSubmit=${answer}>${calls.map((call) => html`<div key=${call.id}><p><strong>${call.name}</strong></p><pre>${call.arguments}</pre>
      ${asks && html`<input class="wide" aria-label=${t`What ${call.name} gives`} placeholder=${t`What it gives`} value=${texts[call.id] ?? ""}
        onInput=${(event) => setTexts({ ...texts, [call.id]: event.target.value })} />`}</div>`)}
    ${asks && html`<button>${calls.length > 1 ? t`Answer the calls` : t`Answer the call`}</button>`}</form>`;
}
