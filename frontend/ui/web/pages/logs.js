// What each process says.
import { events } from "../lib/api.js";
import { html, useEffect, useRef, useState } from "../lib/dom.js";
import { useLive } from "../lib/live.js";
import { link } from "../lib/router.js";

const TAIL = 500;
const KEPT = 10000; // of them so many are drawn that a browser stays quick
const DRAWN = 1500;

export default function Logs({ route }) {
  const { report } = useLive();
  const names = ["supervisor", "frontend", ...(report?.models ?? []).flatMap((model) => model.replicas.map((one) => one.replica))];
  const process = route.rest || "supervisor";
  const [lines, setLines] = useState([]);
  const [error, setError] = useState(null);
  const [search, setSearch] = useState("");
  const [follow, setFollow] = useState(true);
  const place = useRef(null);

  useEffect(() => {
    setLines([]);
    setError(null);
    const mine = new AbortController();
    let fresh = [], frame = 0;
    const draw = () => {
      frame = 0;
      const come = fresh;
      fresh = [];
      setLines((known) => [...known, ...come].slice(-KEPT));
    };
    (async () => {
      try {
        for await (const { data } of events("GET", `/admin/logs/${encodeURIComponent(process)}?follow=1&tail=${TAIL}`, undefined, mine.signal)) {
          if (!data) continue;
          fresh.push(JSON.parse(data).line);
          frame ||= requestAnimationFrame(draw);
        }
      } catch (problem) {
        if (problem.name !== "AbortError") setError(problem);
      }
    })();
    return () => {
      mine.abort();
      cancelAnimationFrame(frame);
    };
  }, [process]);
  useEffect(() => {
    if (follow && place.current) place.current.scrollTop = place.current.scrollHeight;
  }, [lines, follow]);

  const words = search.toLowerCase();
  const found = words ? lines.filter((line) => line.toLowerCase().includes(words)) : lines;
  const shown = found.slice(-DRAWN);
  return html`<div class="stack logs"><div class="row apart"><h1>Logs</h1>
      <div class="row"><label class="sr" for="process">Process</label>
        <select id="process" value=${process} onChange=${(event) => (location.hash = link("logs", event.target.value))}>${[...new Set([process, ...names])].map((name) => html`<option key=${name} value=${name} selected=${name === process}>${name}</option>`)}</select>
        <label class="sr" for="search">Only lines with</label><input id="search" type="search" placeholder="Only lines with…" value=${search} onInput=${(event) => setSearch(event.target.value)} />
        <label class="check"><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} />Follow</label></div></div>
    ${error && html`<p class="error" role="alert">${error.message}</p>`}
    ${found.length > shown.length && html`<p class="quiet small">The last ${shown.length} of ${found.length} lines.</p>`}
    <pre class="log" role="log" aria-live="off" ref=${place} tabindex="0" aria-label=${`The log of ${process}`}>${shown.map((line) => html`<div class=${tone(line)}>${line}</div>`)}</pre>
  </div>`;
}

const tone = (line) => (/\bERROR\b|"error"/.test(line) ? "line error" : /\bWARNING\b|"warning"/.test(line) ? "line warn" : "line");
