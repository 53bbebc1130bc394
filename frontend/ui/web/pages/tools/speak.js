// A text, spoken.
import { get, post } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/dom.js";
import { duration } from "../../lib/format.js";
import { failed } from "../../lib/notices.js";
import { Pick } from "../../lib/pick.js";

export function Speak({ models }) {
  const [model, setModel] = useState(models[0].name);
  const [voices, setVoices] = useState([]);
  const [voice, setVoice] = useState("");
  const [speed, setSpeed] = useState(1);
  const [text, setText] = useState("The box on the shelf hears what you say, and answers.");
  const [sound, setSound] = useState(null);
  const [busy, setBusy] = useState(false);
  const [took, setTook] = useState(null);
  useEffect(() => {
    get(`/v1/audio/voices?model=${encodeURIComponent(model)}`).then((found) => setVoices(found.voices ?? found.data ?? []), failed);
  }, [model]);

  async function go(event) {
    event.preventDefault();
    setBusy(true);
    const began = performance.now();
    try {
      const asked = { model, input: text, speed, response_format: "mp3", ...(voice && { voice }) };
      const response = await post("/v1/audio/speech", asked, { raw: true });
      setSound(URL.createObjectURL(await response.blob()));
      setTook((performance.now() - began) / 1000);
    } catch (error) {
      failed(error);
    }
    setBusy(false);
  }

  const name = (one) => one.id ?? one.name ?? one;
  return html`<form class="card stack close" onSubmit=${go}>
    <div class="row"><${Pick} models=${models} value=${model} onChange=${setModel} />
      <div class="field"><label for="voice">Voice</label><select id="voice" value=${voice} onChange=${(event) => setVoice(event.target.value)}>
        <option value="">its first</option>${voices.map((one) => html`<option key=${name(one)} value=${name(one)}>${name(one)}</option>`)}</select></div>
      <div class="field"><label for="speed">Speed</label><input id="speed" type="number" min="0.25" max="4" step="0.05" value=${speed} onInput=${(event) => setSpeed(Number(event.target.value))} /></div></div>
    <div class="field"><label for="spoken">Text</label><textarea id="spoken" rows="4" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></div>
    <div class="row"><button class="main" disabled=${busy || !text.trim()}>${busy ? "Speaking…" : "Speak"}</button>${took != null && html`<span class="quiet small">took ${duration(took)}</span>`}</div>
    ${sound && html`<audio controls autoplay src=${sound}></audio>`}
  </form>`;
}
