// A recording as text.
import { events, post } from "./api.js";

const PATH = "/v1/audio/transcriptions";

/** Its answer; with `times` as "verbose_json" has it, with segments and words. Without them it comes
 * piece by piece, and `onText` is told all that has come. */
export async function hear(file, { model, language, prompt, times, onText = () => {}, signal }) {
  const form = new FormData();
  form.append("file", file, file.name ?? "recording.webm");
  for (const [name, value] of Object.entries(fields({ model, language, prompt, times }))) {
    for (const one of [value].flat()) form.append(name, one);
  }
  return times ? await post(PATH, form, { signal }) : await stream(form, onText, signal);
}

/** What such a request says beside its file. */
export function fields({ model, language, prompt, times }) {
  const form = times ? { response_format: "verbose_json", "timestamp_granularities[]": ["segment", "word"] } : { stream: "true" };
  return { model, ...form, ...(language && { language }), ...(prompt && { prompt }) };
}

async function stream(form, onText, signal) {
  let text = "";
  for await (const { data } of events("POST", PATH, form, signal)) {
    if (!data || data === "[DONE]") continue;
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message);
    if (event.type === "transcript.text.delta") text += event.delta;
    if (event.type === "transcript.text.done") text = event.text;
    onText(text);
  }
  return { text };
}
