// A recording, by file or microphone, as text; on wish with the times of its words.
import { Copy, Copyable } from "../../lib/copy.js";
import { html, useEffect, useRef, useState } from "../../lib/dom.js";
import { duration } from "../../lib/format.js";
import { fields, hear } from "../../lib/hearing.js";
import { LiveWords } from "../../lib/live_words.js";
import { Microphone } from "../../lib/microphone.js";
import { Pick } from "../../lib/pick.js";
import { curlForm } from "../../lib/snippets.js";
import { useSound, useTask } from "./task.js";
import { t } from "../../lib/words.js";
import { srt, stamp, vtt } from "./subtitles.js";

export function Transcribe({ models, who }) {
  const [asked, setAsked] = useState({ model: models[0].name, language: "", prompt: "", times: false });
  const [sound, setSound] = useSound();
  const [text, setText] = useState("");
  const [found, setFound] = useState(null);
  const { busy, took, run, stop } = useTask();
  const [code, setCode] = useState(false);
  const player = useRef(null);
  const set = (name, value) => setAsked({ ...asked, [name]: value });

  const forget = () => {
    setText("");
    setFound(null);
  };
  const go = (file) => run(async (signal) => {
    setSound(file);
    forget();
    const answer = await hear(file, { ...asked, onText: setText, signal });
    setText(answer.text);
    setFound(answer);
  });

  return html`<section class="card stack close">
    <div class="row"><${Pick} models=${models} value=${asked.model} onChange=${(value) => set("model", value)} />
      <div class="field"><label for="language">${t`Language`}</label><input id="language" size="8" placeholder=${t`found out`} value=${asked.language} onInput=${(event) => set("language", event.target.value.trim())} /></div>
      <div class="field grow"><label for="prompt">${t`Names and words to expect`}</label><input id="prompt" class="wide" value=${asked.prompt} onInput=${(event) => set("prompt", event.target.value)} /></div></div>
    <label class="check"><input type="checkbox" checked=${asked.times} onChange=${(event) => set("times", event.target.checked)} />${t`With the times of words, for subtitles`}</label>
    <div class="row">
      <label class=${`button ${busy ? "disabled" : "main"}`}><input class="sr" type="file" accept="audio/*,video/*" disabled=${busy}
        onChange=${(event) => event.target.files[0] && go(event.target.files[0])} />${t`Choose a recording`}</label>
      <${Microphone} disabled=${busy} onDone=${go} />
      <${LiveWords} asked=${asked} disabled=${busy} onBegin=${forget} onText=${setText} />
      ${busy && html`<button onClick=${stop}>${t`Stop`}</button>`}
      <button class="small" aria-pressed=${code} onClick=${() => setCode(!code)}>curl</button>
    </div>
    ${code && html`<${Copyable} text=${curlForm("/v1/audio/transcriptions", flat({ file: "@recording.wav", ...fields(asked) }), who.keys)} />`}
    ${sound && html`<audio controls ref=${player} src=${sound}></audio>`}
    <div class="transcript" aria-live="polite" aria-busy=${busy}>${found?.words?.length
      ? html`<${Timed} found=${found} player=${player} />` : html`<p class="asis">${text || (busy ? "…" : "")}</p>`}</div>
    ${took != null && html`<div class="row small quiet"><span>${told(found, took)}</span>${text && html`<${Copy} text=${text} />`}
      ${found?.segments && html`<${Save} segments=${found.segments} />`}</div>`}
  </section>`;
}

// curl takes the one of two values that says more: a form may name a field twice, an object cannot.
const flat = (form) => Object.fromEntries(Object.entries(form).map(([name, value]) => [name, [value].flat().at(-1)]));

function told(found, took) {
  const words = [t`took ${duration(took)}`];
  if (found?.duration) words.push(t`for ${duration(found.duration)} of sound`);
  if (found?.language) words.push(found.language);
  return words.join(", ");
}

/** Each segment under its time. A word that is pressed is heard; the one that is heard is marked. */
function Timed({ found, player }) {
  const [at, setAt] = useState(-1);
  useEffect(() => {
    const sound = player.current;
    const look = () => setAt(sound.currentTime);
    sound?.addEventListener("timeupdate", look);
    return () => sound?.removeEventListener("timeupdate", look);
  }, [found]);
  function hearFrom(seconds) {
    player.current.currentTime = seconds;
    player.current.play();
  }
  return html`<ol class="timed">${spoken(found).map(({ segment, words }, number) => html`<li key=${number}>
    <span class="quiet num small">${stamp(segment.start, ".").slice(3, -2)}</span>
    <span>${words.map((word, other) => html`<button key=${other} type="button" class=${`word ${at >= word.start && at < word.end ? "heard" : ""}`}
      title=${`${stamp(word.start, ".").slice(3)} – ${stamp(word.end, ".").slice(3)}`} onClick=${() => hearFrom(word.start)}>${word.word}</button>`)}</span></li>`)}</ol>`;
}

/** Each segment with the words that begin in it, or behind it and before the next. */
function spoken({ segments, words }) {
  const rows = segments.map((segment) => ({ segment, words: [] }));
  for (const word of words) {
    const at = rows.findLastIndex(({ segment }) => segment.start <= word.start);
    rows[Math.max(0, at)]?.words.push(word);
  }
  return rows.filter((row) => row.words.length);
}

function Save({ segments }) {
  const address = (text, kind) => `data:${kind};charset=utf-8,${encodeURIComponent(text)}`;
  return html`<a class="pick small" download="transcript.srt" href=${address(srt(segments), "application/x-subrip")}>SRT</a>
    <a class="pick small" download="transcript.vtt" href=${address(vtt(segments), "text/vtt")}>VTT</a>`;
}
