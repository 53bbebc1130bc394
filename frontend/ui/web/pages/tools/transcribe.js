// A recording, by file or microphone, as text.
import { events } from "../../lib/api.js";
import { html, useEffect, useRef, useState } from "../../lib/dom.js";
import { duration } from "../../lib/format.js";
import { failed } from "../../lib/notices.js";
import { Pick } from "../../lib/pick.js";

export function Transcribe({ models }) {
  const [model, setModel] = useState(models[0].name);
  const [language, setLanguage] = useState("");
  const [prompt, setPrompt] = useState("");
  const [sound, setSound] = useState(null);
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [took, setTook] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);

  async function go(file) {
    setSound(URL.createObjectURL(file));
    setText("");
    setTook(null);
    setBusy(true);
    const form = new FormData();
    form.append("file", file, file.name ?? "recording.webm");
    form.append("model", model);
    form.append("stream", "true");
    if (language) form.append("language", language);
    if (prompt) form.append("prompt", prompt);
    const mine = (running.current = new AbortController());
    const began = performance.now();
    try {
      for await (const { data } of events("POST", "/v1/audio/transcriptions", form, mine.signal)) {
        if (!data || data === "[DONE]") continue;
        const event = JSON.parse(data);
        if (event.error) throw new Error(event.error.message);
        if (event.type === "transcript.text.delta") setText((known) => known + event.delta);
        if (event.type === "transcript.text.done") setText(event.text);
      }
      setTook((performance.now() - began) / 1000);
    } catch (error) {
      if (error.name !== "AbortError") failed(error);
    }
    setBusy(false);
  }

  return html`<section class="card stack close">
    <div class="row"><${Pick} models=${models} value=${model} onChange=${setModel} />
      <div class="field"><label for="language">Language</label><input id="language" size="6" placeholder="found out" value=${language} onInput=${(event) => setLanguage(event.target.value.trim())} /></div>
      <div class="field grow"><label for="prompt">Names and words to expect</label><input id="prompt" class="wide" value=${prompt} onInput=${(event) => setPrompt(event.target.value)} /></div></div>
    <div class="row">
      <label class="button"><input class="sr" type="file" accept="audio/*,video/*" onChange=${(event) => event.target.files[0] && go(event.target.files[0])} />Choose a recording</label>
      <${Microphone} disabled=${busy} onDone=${go} />
      ${busy && html`<button onClick=${() => running.current?.abort()}>Stop</button>`}
    </div>
    ${sound && html`<audio controls src=${sound}></audio>`}
    <div class="asis transcript" aria-live="polite">${text || (busy ? "…" : "")}</div>
    ${took != null && html`<p class="quiet small">took ${duration(took)}</p>`}
  </section>`;
}

export function Microphone({ disabled, onDone }) {
  const [recorder, setRecorder] = useState(null);
  if (!navigator.mediaDevices) {
    return html`<span class="quiet small">The microphone works where the address is https or localhost only.</span>`;
  }
  async function begin() {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const made = new MediaRecorder(stream);
      const parts = [];
      made.ondataavailable = (event) => parts.push(event.data);
      made.onstop = () => {
        for (const track of stream.getTracks()) track.stop();
        setRecorder(null);
        onDone(new File(parts, "recording.webm", { type: made.mimeType }));
      };
      made.start();
      setRecorder(made);
    } catch (error) {
      failed(new Error(`the microphone cannot be used: ${error.message}`));
    }
  }
  return recorder
    ? html`<button class="danger" onClick=${() => recorder.stop()}>Stop recording</button>`
    : html`<button disabled=${disabled} onClick=${begin}>Record</button>`;
}
