// A button for words while they are said: the microphone's sound goes to the server as it comes.
import { html, useEffect, useRef, useState } from "./dom.js";
import { failed } from "./notices.js";
import { t } from "./words.js";

const TRANSCRIPTION = "conversation.item.input_audio_transcription.";
const LINGER_MS = 5000; // for the last words, once nobody speaks any more

/** `onText` is told all that was said, with the words behind "…" that may still change. */
export function LiveWords({ asked, disabled, onBegin, onText }) {
  const [on, setOn] = useState(false);
  const stop = useRef(null);
  useEffect(() => () => stop.current?.(), []);
  if (!navigator.mediaDevices) return null;

  async function begin() {
    try {
      setOn(true);
      onBegin();
      stop.current = await listen(asked, onText, () => setOn(false));
    } catch (error) {
      setOn(false);
      failed(new Error(t`the microphone cannot be used: ${error.message}`));
    }
  }

  return html`<button type="button" class=${on ? "danger" : ""} disabled=${disabled && !on} onClick=${() => (on ? stop.current?.() : begin())}>
    ${on ? t`Stop listening` : t`Live words`}</button>`;
}

/** Returns what ends it. */
async function listen({ model, language, prompt }, onText, onEnd) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext({ sampleRate: 24000 });
  await context.audioWorklet.addModule(new URL("./pcm.js", import.meta.url));
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/v1/realtime?model=${encodeURIComponent(model)}`, "realtime");
  const say = (type, fields) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ type, ...fields }));
  const pcm = new AudioWorkletNode(context, "pcm");
  pcm.port.onmessage = ({ data }) => say("input_audio_buffer.append", { audio: btoa(String.fromCharCode(...new Uint8Array(data))) });

  const items = new Map();
  const show = () => onText([...items.values()].map(({ told, open }) => told + (open && ` … ${open}`)).join("\n"));
  const hush = () => {
    stream.getTracks().forEach((track) => track.stop());
    if (context.state !== "closed") context.close();
  };
  socket.onopen = () => {
    const transcription = { ...(language && { language }), ...(prompt && { prompt }) };
    say("session.update", { session: { type: "transcription", include: ["item.input_audio_transcription.unstable"], audio: { input: { transcription } } } });
    context.createMediaStreamSource(stream).connect(pcm);
  };
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.error && event.error.code !== "input_audio_buffer_commit_empty") failed(new Error(event.error.message));
    if (!event.type.startsWith(TRANSCRIPTION)) return;
    const item = items.get(event.item_id) ?? { told: "", open: "" };
    items.set(event.item_id, { told: event.transcript ?? item.told + (event.delta ?? ""), open: event.text ?? "" });
    show();
  };
  socket.onclose = () => {
    hush();
    onEnd();
  };
  return () => {
    hush();
    say("input_audio_buffer.commit");
    setTimeout(() => socket.close(), LINGER_MS);
    onEnd();
  };
}
