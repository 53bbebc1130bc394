// A button that records what the microphone hears.
import { html, useEffect, useRef, useState } from "./dom.js";
import { duration } from "./format.js";
import { failed } from "./notices.js";
import { t } from "./words.js";

export function Microphone({ disabled, onDone, small }) {
  const [recorder, setRecorder] = useState(null);
  const [seconds, setSeconds] = useState(0);
  const leave = useRef(null);
  useEffect(() => () => leave.current?.(), []);
  useEffect(() => {
    if (!recorder) return;
    const began = Date.now();
    setSeconds(0);
    const timer = setInterval(() => setSeconds(Math.round((Date.now() - began) / 1000)), 500);
    return () => clearInterval(timer);
  }, [recorder]);
  if (!navigator.mediaDevices) {
    return html`<span class="quiet small">${t`The microphone works where the address is https or localhost only.`}</span>`;
  }

  async function begin() {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const made = new MediaRecorder(stream);
      const parts = [];
      leave.current = () => stream.getTracks().forEach((track) => track.stop());
      made.ondataavailable = (event) => parts.push(event.data);
      made.onstop = () => {
        leave.current();
        setRecorder(null);
        onDone(new File(parts, "recording.webm", { type: made.mimeType }));
      };
      made.start();
      setRecorder(made);
    } catch (error) {
      failed(new Error(t`the microphone cannot be used: ${error.message}`));
    }
  }

  const size = small ? "small" : "";
  return recorder
    ? html`<button type="button" class=${`danger ${size}`} onClick=${() => recorder.stop()}>${t`Stop recording`} <span class="num" aria-hidden="true">${duration(seconds)}</span></button>`
    : html`<button type="button" class=${size} disabled=${disabled} onClick=${begin}>${t`Record`}</button>`;
}
