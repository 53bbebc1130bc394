// A conversation with a chat model.
import { ask, goOn, stop } from "../lib/asking.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/dom.js";
import { useLive } from "../lib/live.js";
import { able } from "../lib/models.js";
import { failed } from "../lib/notices.js";
import { link } from "../lib/router.js";
import { t } from "../lib/words.js";
import { Composer } from "./chat/composer.js";
import { add, beside, choose, EMPTY, path, turns } from "./chat/conversation.js";
import { Options } from "./chat/options.js";
import { PLAIN, request, reworded } from "./chat/request.js";
import { Turn } from "./chat/turn.js";

const SAVED = "chat-options";
const KEPT = "chat"; // in this tab, until it is closed
const STOPPED = "stopped";
const NEAR_PX = 120; // who is so near to the end wants to see it move
const MOST_SAID = 2000;

export default function Chat({ route, who }) {
  const { report } = useLive();
  const models = able(report, "chat");
  const [options, setOptions] = useState(saved);
  const [talk, setTalk] = useState(() => kept().talk);
  const [answer, setAnswer] = useState(null);
  const [heard, setHeard] = useState(""); // by who cannot see it: an answer once it is whole
  const running = useRef(null);
  const model = models.find((one) => one.name === (options.model || route.rest)) ?? models[0];
  useEffect(() => route.rest && setOptions((known) => ({ ...known, model: route.rest })), [route.rest]);
  useEffect(() => localStorage.setItem(SAVED, JSON.stringify(options)), [options]);
  useEffect(() => {
    const { streamId, talk: before } = kept();
    if (streamId) follow(before, (onChange, signal) => goOn(streamId, onChange, signal));
    return () => running.current?.abort();
  }, []);
  useEffect(() => keep(talk, answer?.streamId ?? null), [talk, answer?.streamId]);
  useFollowing(answer ?? talk);

  async function go(next) {
    try {
      const asked = request(model.name, options, turns(next));
      await follow(next, (onChange, signal) => ask(asked, onChange, signal));
    } catch (error) {
      failed(error);
    }
  }

  /** Shows an answer as it comes; it ends, fails, or is stopped. */
  async function follow(before, begin) {
    setTalk(before);
    setHeard("");
    const mine = (running.current = new AbortController());
    let latest = null, frame = 0;
    function onChange(one) {
      latest = one;
      frame ||= requestAnimationFrame(() => ((frame = 0), running.current === mine && setAnswer(latest)));
    }
    try {
      await begin(onChange, mine.signal);
    } catch (error) {
      if (error.name === "AbortError" && mine.signal.reason !== STOPPED) return; // this page was left
      latest = latest && ended(latest, error, mine.signal.reason === STOPPED);
      if (mine.signal.reason !== STOPPED) failed(error);
    }
    running.current = null;
    setAnswer(null);
    if (!latest) return;
    setTalk(add(before, latest, before.at));
    setHeard(latest.content.slice(0, MOST_SAID));
  }

  function onStop() {
    if (answer?.streamId) stop(answer.streamId);
    running.current?.abort(STOPPED);
  }

  const busy = answer !== null;
  const { nodes } = talk;
  const acts = (one) => ({
    onAgain: () => go({ nodes, at: nodes[one].parent }),
    onChange: (text) => go(add(talk, { ...nodes[one].turn, content: reworded(nodes[one].turn, text) }, nodes[one].parent)),
    onResults: (results) => go(results.reduce((known, turn) => add(known, turn, known.at), { nodes, at: one })),
    onChoose: (other) => setTalk(choose(talk, other)),
    branches: beside(talk, one),
  });
  return html`<div class="chat" onKeyDown=${(event) => event.key === "Escape" && !event.isComposing && busy && onStop()}>
    <div class="row apart"><h1>${t`Chat`}</h1>
      <div class="row"><label class="sr" for="model">${t`Model`}</label>
        <select id="model" value=${model?.name ?? ""} onChange=${(event) => setOptions({ ...options, model: event.target.value })}>
          ${models.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}${one.state === "ready" ? "" : ` (${t`to be loaded`})`}</option>`)}
        </select>
        <button onClick=${() => setTalk(EMPTY)} disabled=${!nodes.length || busy}>${t`New chat`}</button></div></div>
    <${Options} options=${options} onChange=${setOptions} request=${() => request(model?.name ?? "", options, turns(talk))} keys=${who.keys} />
    <div class="turns">
      ${!nodes.length && !busy && html`<${Begin} model=${model} known=${report !== null} />`}
      ${path(talk).map((one) => html`<${Turn} key=${one} number=${one} turn=${nodes[one].turn} busy=${busy} report=${report} ...${acts(one)} />`)}
      ${busy && html`<${Turn} key="coming" turn=${answer} busy />`}</div>
    <p class="sr" role="status">${busy ? answer.status || t`The model is writing` : heard}</p>
    <${Composer} disabled=${!model} running=${busy} onStop=${onStop} report=${report}
      onSend=${(content) => go(add(talk, { role: "user", content }, talk.at))} />
  </div>`;
}

const ended = (answer, error, stopped) =>
  stopped ? { ...answer, status: t`stopped`, stopped } : { ...answer, status: error.message, failed: true };

function Begin({ model, known }) {
  if (!known) return null;
  if (!model) return html`<p class="card empty">${t`No chat model is served.`} <a href=${link("models")}>${t`Get one`}</a></p>`;
  return html`<div class="begin"><p class="big">${t`What would you like to know?`}</p>
    <p class="quiet">${t`${model.name} answers on this machine: nothing leaves it. The conversation is kept in this tab alone.`}</p></div>`;
}

/** Keeps the end in sight whenever `shown` changes, for who has not scrolled away from it. */
function useFollowing(shown) {
  const near = useRef(true);
  useEffect(() => {
    const look = () => {
      const page = document.documentElement;
      near.current = page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_PX;
    };
    addEventListener("scroll", look, { passive: true });
    return () => removeEventListener("scroll", look);
  }, []);
  useLayoutEffect(() => {
    if (near.current) scrollTo(0, document.documentElement.scrollHeight);
  }, [shown]);
}

function kept() {
  const nothing = { talk: EMPTY, streamId: null };
  try {
    const found = { ...nothing, ...JSON.parse(sessionStorage.getItem(KEPT) ?? "{}") };
    return Array.isArray(found.talk.nodes) ? found : nothing;
  } catch {
    return nothing;
  }
}

function keep(talk, streamId) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ talk, streamId }));
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
