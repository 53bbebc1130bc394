// What each process says.
import { events } from "../lib/api.js";
import { Copy } from "../lib/copy.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/dom.js";
import { repeat } from "../lib/every.js";
import { count } from "../lib/format.js";
import { useLive } from "../lib/live.js";
import { link } from "../lib/router.js";
import { t } from "../lib/words.js";
import { pieces } from "./logs/ansi.js";
import Incidents from "./logs/incidents.js";

const TAIL = 500;
const KEPT = 10000; // of them so many are drawn that a browser stays quick
const DRAWN = 1000;
const NEAR_PX = 40;

export default function Logs({ route }) {
  const { report } = useLive();
  const process = route.rest || "supervisor";
  const { lines, error } = useLines(process);
  const [search, setSearch] = useState("");
  const [follow, setFollow] = useState(true);
  const place = useRef(null);
  useLayoutEffect(() => {
    if (follow && place.current) place.current.scrollTop = place.current.scrollHeight;
  }, [lines, follow, search]);

  // Whoever scrolls up wants to read, and who comes back to the end wants to see what comes.
  function onScroll({ target }) {
    setFollow(target.scrollHeight - target.scrollTop - target.clientHeight < NEAR_PX);
  }

  const words = search.toLowerCase();
  const found = words ? lines.filter((line) => line.text.toLowerCase().includes(words)) : lines;
  const shown = found.slice(-DRAWN);
  return html`<div class="stack close logs"><div class="row apart"><h1>${t`Logs`}</h1>
      <div class="row"><label class="sr" for="process">${t`Process`}</label><${Choice} report=${report} process=${process} />
        <label class="sr" for="search">${t`Only lines with`}</label><input id="search" type="search" placeholder=${t`Only lines with…`} value=${search} onInput=${(event) => setSearch(event.target.value)} />
        <label class="check"><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} />${t`Follow`}</label></div></div>
    ${error && html`<p class="error" role="alert">${error.message}</p>`}
    <${Incidents} />
    <pre class="log" role="log" aria-live="off" ref=${place} tabindex="0" onScroll=${onScroll} aria-label=${t`The log of ${process}`}>${shown.map((line) => html`<${Line} key=${line.number} text=${line.text} />`)}
      ${!shown.length && !error && html`<span class="quiet">${search ? t`No line is like that.` : t`It has said nothing yet.`}</span>`}</pre>
    <div class="row apart"><p class="quiet small num">${found.length > shown.length ? t`The last ${count(shown.length)} of ${count(found.length)} lines` : t`${count(found.length)} lines`}</p>
      ${found.length > 0 && html`<${Copy} text=${() => found.map((line) => plain(line.text)).join("\n")} />`}</div>
  </div>`;
}

function Choice({ report, process }) {
  const names = ["supervisor", "frontend", ...(report?.models ?? []).flatMap((model) => model.replicas.map((one) => one.replica))];
  return html`<select id="process" value=${process} onChange=${(event) => (location.hash = link("logs", event.target.value))}>
    ${[...new Set([process, ...names])].map((name) => html`<option key=${name} value=${name} selected=${name === process}>${name}</option>`)}</select>`;
}

const Line = ({ text }) => html`<div class=${tone(text)}>${pieces(text).map((one, at) => html`<span key=${at} class=${one.kind}>${one.text}</span>`)}</div>`;

const plain = (line) => pieces(line).map((one) => one.text).join("");

const tone = (line) => (/\b(ERROR|CRITICAL)\b|"(error|critical)"/.test(line) ? "line error" : /\bWARNING\b|"warning"/.test(line) ? "line warn" : "line");

/** The last lines of a process, and those that come; drawn once a frame, however many that are. */
function useLines(process) {
  const [lines, setLines] = useState([]);
  const [error, setError] = useState(null);
  useEffect(() => {
    let kept = [], number = 0, frame = 0;
    function draw() {
      frame = 0;
      kept = kept.slice(-KEPT);
      setLines([...kept]);
    }
    async function follow(signal) {
      kept = []; // its last lines come again
      for await (const { data } of events("GET", `/admin/logs/${encodeURIComponent(process)}?follow=1&tail=${TAIL}`, undefined, signal)) {
        if (!data) continue;
        setError(null);
        kept.push({ number: number++, text: JSON.parse(data).line });
        frame ||= requestAnimationFrame(draw);
      }
    }
    setLines([]);
    setError(null);
    const asking = repeat(1000, follow, setError);
    return () => {
      asking.end();
      cancelAnimationFrame(frame);
    };
  }, [process]);
  return { lines, error };
}
