// An answer, spoken by a model of this server.
import { post } from "../../lib/api.js";
import { html, useEffect, useRef, useState } from "../../lib/dom.js";
import { able } from "../../lib/models.js";
import { failed } from "../../lib/notices.js";
import { t } from "../../lib/words.js";

const MOST_CHARS = 4000;

export function Aloud({ text, report }) {
  const [state, setState] = useState("silent");
  const running = useRef(null);
  const model = able(report, "speak")[0];
  const end = () => {
    running.current?.abort();
    running.current = null;
    setState("silent");
  };
  useEffect(() => () => running.current?.abort(), []);
  if (!model) return null;

  async function begin() {
    const { signal } = (running.current = new AbortController());
    setState("waits");
    try {
      const asked = { model: model.name, input: text.slice(0, MOST_CHARS), response_format: "mp3" };
      const address = URL.createObjectURL(await post("/v1/audio/speech", asked, { as: "blob", signal }));
      const sound = new Audio(address);
      signal.addEventListener("abort", () => (sound.pause(), URL.revokeObjectURL(address)));
      sound.onended = end;
      await sound.play();
      setState("speaks");
    } catch (error) {
      if (!signal.aborted) failed(error);
      end();
    }
  }

  return state === "silent"
    ? html`<button class="plain small" onClick=${begin}>${t`Read aloud`}</button>`
    : html`<button class="plain small" onClick=${end}>${state === "waits" ? t`Is being spoken…` : t`Be silent`}</button>`;
}
