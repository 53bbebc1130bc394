// A text, spoken.
import { get, post } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/dom.js";
import { duration } from "../../lib/format.js";
import { failed } from "../../lib/notices.js";
import { Pick } from "../../lib/pick.js";
import { CopyAs } from "../../lib/snippets.js";
import { useSound, useTask } from "./task.js";
import { t } from "../../lib/words.js";

const FORMAT = "mp3";

export function Speak({ models, who }) {
  const [model, setModel] = useState(models[0].name);
  const [voices, setVoices] = useState([]);
  const [voice, setVoice] = useState("");
  const [speed, setSpeed] = useState(1);
  const [text, setText] = useState("The box on the shelf hears what you say, and answers.");
  const [sound, setSound] = useSound();
  const { busy, took, run, stop } = useTask();
  const state = models.find((one) => one.name === model)?.state; // one tells its voices once it is loaded
  useEffect(() => {
    get("/v1/audio/voices").then((found) => setVoices(found.voices.filter((one) => one.model === model)), failed);
  }, [model, state]);

  const body = { model, input: text, response_format: FORMAT, ...(speed !== 1 && { speed }), ...(voice && { voice }) };
  const go = (event) => (event.preventDefault(), run(async (signal) => {
    setSound(null);
    setSound(await post("/v1/audio/speech", body, { as: "blob", signal }));
  }));

  return html`<form class="card stack close" onSubmit=${go}>
    <div class="row"><${Pick} models=${models} value=${model} onChange=${setModel} />
      <div class="field"><label for="voice">${t`Voice`}</label><select id="voice" value=${voice} onChange=${(event) => setVoice(event.target.value)}>
        <option value="">${t`its first`}</option>${voices.map((one) => html`<option key=${one.id} value=${one.id}>${one.name ?? one.id}</option>`)}</select></div>
      <div class="field"><label for="speed">${t`Speed`}</label><input id="speed" type="number" min="0.25" max="4" step="0.05" value=${speed} onInput=${(event) => setSpeed(Number(event.target.value))} /></div></div>
    <div class="field"><label for="spoken">${t`Text`}</label><textarea id="spoken" rows="4" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></div>
    <div class="row"><button class="main" disabled=${busy || !text.trim()}>${busy ? t`Is being spoken…` : t`Speak`}</button>
      ${busy && html`<button type="button" onClick=${stop}>${t`Stop`}</button>`}${took != null && html`<span class="quiet small">${t`took ${duration(took)}`}</span>`}</div>
    <${CopyAs} path="/v1/audio/speech" body=${() => body} keys=${who.keys} />
    ${sound && html`<div class="row"><audio controls autoplay src=${sound}></audio><a class="pick" href=${sound} download=${`speech.${FORMAT}`}>${t`Save`}</a></div>`}
  </form>`;
}
