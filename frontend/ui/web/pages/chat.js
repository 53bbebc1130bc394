// A conversation with a chat model.
import { ask, figures, goOn, stop } from "../lib/asking.js";
import { Copyable } from "../lib/copy.js";
import { html, useEffect, useRef, useState } from "../lib/dom.js";
import { duration, rate } from "../lib/format.js";
import { useLive } from "../lib/live.js";
import { Markdown } from "../lib/markdown.js";
import { able } from "../lib/models.js";
import { failed } from "../lib/notices.js";
import { curl, javascript, python } from "../lib/snippets.js";

const SAVED = "chat-options";
const KEPT = "chat"; // in this tab, until it is closed
const STOPPED = "stopped";
const PLAIN = { model: "", system: "", temperature: "", max_tokens: "", tools: "", schema: "" };
const MAX_IMAGE_BYTES = 5 << 20;

export default function Chat({ route, who }) {
  const live = useLive();
  const models = able(live.report, "chat");
  const [options, setOptions] = useState(saved);
  const [turns, setTurns] = useState(() => kept().turns);
  const [answer, setAnswer] = useState(null);
  const running = useRef(null);
  const model = models.find((one) => one.name === (route.rest || options.model))?.name ?? models[0]?.name ?? "";
  useEffect(() => localStorage.setItem(SAVED, JSON.stringify(options)), [options]);
  useEffect(() => {
    const { streamId, turns: before } = kept();
    if (streamId) follow(before, (onChange, signal) => goOn(streamId, onChange, signal));
    return () => running.current?.abort();
  }, []);
  useEffect(() => keep(turns, answer?.streamId ?? null), [turns, answer?.streamId]);

  const request = (messages) => body(model, options, messages);

  async function go(messages) {
    let asked;
    try {
      asked = request(messages);
    } catch (error) {
      return failed(error);
    }
    await follow(messages, (onChange, signal) => ask(asked, onChange, signal));
  }

  /** Shows an answer as it comes; it ends, fails, or is stopped. */
  async function follow(messages, begin) {
    setTurns(messages);
    const mine = (running.current = new AbortController());
    let latest = null;
    try {
      await begin((one) => setAnswer((latest = one)), mine.signal);
    } catch (error) {
      if (error.name === "AbortError" && mine.signal.reason !== STOPPED) return; // this page was left
      if (mine.signal.reason === STOPPED) latest = latest && { ...latest, status: "stopped" };
      else {
        failed(error);
        latest = latest && { ...latest, status: error.message, failed: true };
      }
    }
    running.current = null;
    setAnswer(null);
    if (latest) setTurns([...messages, latest]);
  }

  function onStop() {
    if (answer?.streamId) stop(answer.streamId);
    running.current?.abort(STOPPED);
  }

  const again = (at) => go(turns.slice(0, at));
  const change = (at, text) => go([...turns.slice(0, at), { ...turns[at], content: text }]);
  const result = (at, call, text) => go([...turns.slice(0, at + 1), { role: "tool", tool_call_id: call.id, content: text }]);
  const shown = answer ? [...turns, answer] : turns;
  return html`<div class="chat">
    <div class="row apart"><h1>Chat</h1>
      <div class="row"><label class="sr" for="model">Model</label>
        <select id="model" value=${model} onChange=${(event) => setOptions({ ...options, model: event.target.value })}>
          ${models.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}${one.state === "ready" ? "" : " (to be loaded)"}</option>`)}
        </select>
        <button onClick=${() => setTurns([])} disabled=${!turns.length || answer}>New chat</button></div></div>
    ${live.report && !models.length && html`<p class="empty">No chat model is served.</p>`}
    <${Options} options=${options} onChange=${setOptions} request=${() => request(turns)} keys=${who.keys} />
    <div class="turns" aria-live="off">${shown.map((turn, at) => html`<${Turn} key=${at} turn=${turn} busy=${answer !== null}
        onAgain=${() => again(at)} onChange=${(text) => change(at, text)} onResult=${(call, text) => result(at, call, text)} />`)}</div>
    <p class="sr" role="status">${answer ? answer.status || "The model is writing" : ""}</p>
    <${Composer} disabled=${!model} running=${answer !== null} onStop=${onStop}
      onSend=${(content) => go([...turns, { role: "user", content }])} />
  </div>`;
}

function kept() {
  try {
    return { turns: [], streamId: null, ...JSON.parse(sessionStorage.getItem(KEPT) ?? "{}") };
  } catch {
    return { turns: [], streamId: null };
  }
}

function keep(turns, streamId) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ turns, streamId }));
  } catch {
    sessionStorage.removeItem(KEPT); // large images: it is not kept then
  }
}

function saved() {
  try {
    return { ...PLAIN, ...JSON.parse(localStorage.getItem(SAVED) ?? "{}") };
  } catch {
    return PLAIN;
  }
}

/** What is asked; throws where a part that is JSON cannot be read. */
function body(model, options, turns) {
  const asked = { model, messages: turns.map(message) };
  if (options.system.trim()) asked.messages.unshift({ role: "system", content: options.system });
  if (options.temperature !== "") asked.temperature = Number(options.temperature);
  if (options.max_tokens !== "") asked.max_tokens = Number(options.max_tokens);
  if (options.tools.trim()) asked.tools = json(options.tools, "the tools");
  if (options.schema.trim()) {
    asked.response_format = { type: "json_schema", json_schema: { name: "answer", schema: json(options.schema, "the schema") } };
  }
  return asked;
}

function json(text, what) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${what}: ${error.message}`);
  }
}

function message(turn) {
  if (turn.role !== "assistant") return { role: turn.role, content: turn.content, ...(turn.tool_call_id && { tool_call_id: turn.tool_call_id }) };
  const calls = turn.calls.map((call) => ({ id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } }));
  return { role: "assistant", content: turn.content, ...(calls.length && { tool_calls: calls }) };
}

function Turn({ turn, busy, onAgain, onChange, onResult }) {
  const [editing, setEditing] = useState(null);
  const text = typeof turn.content === "string" ? turn.content : turn.content.find((part) => part.type === "text")?.text ?? "";
  const images = Array.isArray(turn.content) ? turn.content.filter((part) => part.type === "image_url") : [];
  if (turn.role === "tool") return html`<div class="turn tool"><pre>${turn.content}</pre></div>`;
  if (turn.role === "user") {
    return html`<div class="turn user">
      ${images.map((part, at) => html`<img key=${at} src=${part.image_url.url} alt="Attached" />`)}
      ${editing === null
        ? html`<p>${text}</p>${!busy && !images.length && html`<button class="plain small" onClick=${() => setEditing(text)}>Edit</button>`}`
        : html`<textarea rows="3" aria-label="Change what was asked" value=${editing} onInput=${(event) => setEditing(event.target.value)}></textarea>
          <div class="row"><button class="main small" onClick=${() => (setEditing(null), onChange(editing))}>Ask again</button>
          <button class="small" onClick=${() => setEditing(null)}>Leave it</button></div>`}
    </div>`;
  }
  const found = figures(turn);
  return html`<div class="turn assistant">
    ${turn.reasoning && html`<details class="reasoning" open=${!turn.content && !turn.ended}><summary>${turn.content || turn.ended ? "Its reasoning" : "Thinking…"}</summary><div class="asis">${turn.reasoning}</div></details>`}
    ${turn.content && html`<${Markdown} text=${turn.content} />`}
    ${turn.calls.map((call) => html`<${Call} key=${call.id} call=${call} busy=${busy} onResult=${(text) => onResult(call, text)} />`)}
    <div class="row small quiet">
      ${turn.status && html`<span class=${turn.failed ? "error" : ""}>${turn.status}</span>`}
      ${found && html`<span class="num">first token after ${duration(found.first_s)}${found.rate ? `, ${rate(found.rate)} tokens/s` : ""}, ${found.written ?? "?"} written, ${found.prompt ?? "?"} read${found.cached ? `, ${found.cached} of them known` : ""}</span>`}
      ${turn.ended || turn.status === "stopped" || turn.failed ? html`<button class="plain small" disabled=${busy} onClick=${onAgain}>Retry</button>` : ""}
    </div>
  </div>`;
}

function Call({ call, busy, onResult }) {
  const [text, setText] = useState("");
  return html`<div class="call"><p><strong>${call.name}</strong></p><pre>${call.arguments}</pre>
    ${!busy && html`<form class="row" onSubmit=${(event) => (event.preventDefault(), onResult(text))}>
      <input class="grow" aria-label=${`What ${call.name} gives`} placeholder="What it gives" value=${text} onInput=${(event) => setText(event.target.value)} />
      <button>Answer the call</button></form>`}</div>`;
}

function Options({ options, onChange, request, keys }) {
  const [code, setCode] = useState(null);
  const set = (name) => (event) => onChange({ ...options, [name]: event.target.value });
  const field = (name, label, extra) => html`<div class="field"><label for=${name}>${label}</label><input id=${name} type="number" value=${options[name]} onInput=${set(name)} ...${extra} /></div>`;
  const area = (name, label, hint) => html`<div class="field grow"><label for=${name}>${label}</label><textarea id=${name} rows="3" spellcheck="false" placeholder=${hint} value=${options[name]} onInput=${set(name)}></textarea></div>`;
  function show(write) {
    try {
      setCode(write("/v1/chat/completions", { ...request(), stream: true }, keys));
    } catch (error) {
      failed(error);
    }
  }
  return html`<details class="card options"><summary>Options${options.system || options.tools || options.schema ? " (some are set)" : ""}</summary>
    <div class="stack close">
      ${area("system", "System prompt", "You are …")}
      <div class="row">${field("temperature", "Temperature", { min: 0, max: 2, step: 0.1, placeholder: "the model's" })}${field("max_tokens", "Most tokens", { min: 1, placeholder: "the model's" })}</div>
      <div class="row">${area("tools", "Tools, as JSON", '[{"type": "function", "function": {"name": "…", "parameters": {…}}}]')}${area("schema", "Schema of the answer, as JSON", '{"type": "object", "properties": {…}}')}</div>
      <div class="row"><span class="quiet small">This chat as</span>
        <button class="small" onClick=${() => show(curl)}>curl</button><button class="small" onClick=${() => show(python)}>Python</button><button class="small" onClick=${() => show(javascript)}>JavaScript</button></div>
      ${code && html`<${Copyable} text=${code} />`}
    </div></details>`;
}

function Composer({ disabled, running, onSend, onStop }) {
  const [text, setText] = useState("");
  const [images, setImages] = useState([]);
  const box = useRef(null);
  useEffect(() => box.current?.focus(), []);
  function send(event) {
    event?.preventDefault();
    if (running || disabled || !(text.trim() || images.length)) return;
    const parts = images.map((url) => ({ type: "image_url", image_url: { url } }));
    onSend(images.length ? [{ type: "text", text }, ...parts] : text);
    setText("");
    setImages([]);
  }
  async function attach(files) {
    for (const file of files) {
      if (!file.type.startsWith("image/")) continue;
      if (file.size > MAX_IMAGE_BYTES) failed(new Error(`${file.name} has more than ${MAX_IMAGE_BYTES >> 20} MB`));
      else setImages(((url) => (known) => [...known, url])(await dataUrl(file)));
    }
  }
  return html`<form class="composer card" onSubmit=${send} onDragOver=${(event) => event.preventDefault()}
      onDrop=${(event) => (event.preventDefault(), attach(event.dataTransfer.files))}>
    ${images.length > 0 && html`<div class="row">${images.map((url, at) => html`<button type="button" key=${at} class="plain thumb" aria-label="Remove this image" onClick=${() => setImages(images.filter((_, other) => other !== at))}><img src=${url} alt="" /></button>`)}</div>`}
    <label class="sr" for="text">Your message</label>
    <textarea id="text" ref=${box} rows="2" placeholder="Write to the model; Shift+Enter for a new line" value=${text}
      onInput=${(event) => setText(event.target.value)} onPaste=${(event) => attach(event.clipboardData.files)}
      onKeyDown=${(event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && send(event)}></textarea>
    <div class="row apart">
      <label class="button"><input class="sr" type="file" accept="image/*" multiple onChange=${(event) => attach(event.target.files)} />Add an image</label>
      ${running ? html`<button type="button" onClick=${onStop}>Stop</button>` : html`<button class="main" disabled=${disabled || !(text.trim() || images.length)}>Send</button>`}
    </div></form>`;
}

const dataUrl = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(file);
});
