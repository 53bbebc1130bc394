// Where a message is written, with images and texts, or spoken.
import { html, useEffect, useRef, useState } from "../../lib/dom.js";
import { bytes } from "../../lib/format.js";
import { hear } from "../../lib/hearing.js";
import { Microphone } from "../../lib/microphone.js";
import { able } from "../../lib/models.js";
import { failed } from "../../lib/notices.js";
import { t } from "../../lib/words.js";

const MAX_IMAGE_BYTES = 5 << 20, MAX_TEXT_BYTES = 256 << 10;

export function Composer({ disabled, running, report, onSend, onStop }) {
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
      const isImage = file.type.startsWith("image/");
      const most = isImage ? MAX_IMAGE_BYTES : MAX_TEXT_BYTES;
      if (file.size > most) failed(new Error(t`${file.name} has more than ${bytes(most)}`));
      else if (isImage) setImages(((url) => (known) => [...known, url])(await dataUrl(file)));
      else add(file.name, await file.text());
    }
  }

  /** A file of text, into the message, where it can be read over and cut. */
  function add(name, content) {
    if (content.includes("\0")) failed(new Error(t`${name} is no text and no image`));
    else setText((known) => `${known}${known && "\n\n"}${name}:\n\`\`\`\n${content.trimEnd()}\n\`\`\`\n`);
  }

  return html`<form class="composer card" onSubmit=${send} onDragOver=${(event) => event.preventDefault()}
      onDrop=${(event) => (event.preventDefault(), attach(event.dataTransfer.files))}>
    ${images.length > 0 && html`<div class="row">${images.map((url, at) => html`<button type="button" key=${at} class="plain thumb" aria-label=${t`Remove this image`}
      onClick=${() => setImages(images.filter((_, other) => other !== at))}><img src=${url} alt="" /></button>`)}</div>`}
    <label class="sr" for="text">${t`Your message`}</label>
    <textarea id="text" ref=${box} rows="2" placeholder=${t`Write to the model; Shift+Enter for a new line`} value=${text}
      onInput=${(event) => setText(event.target.value)} onPaste=${(event) => attach(event.clipboardData.files)}
      onKeyDown=${(event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && send(event)}></textarea>
    <div class="row apart">
      <div class="row"><label class="button small"><input class="sr" type="file" multiple onChange=${({ target }) => attach([...target.files]).then(() => (target.value = ""))} />${t`Add a file`}</label>
        <${Spoken} model=${able(report, "speech")[0]} onText=${(more) => (setText((known) => `${known}${known && " "}${more}`), box.current?.focus())} /></div>
      ${running ? html`<button type="button" onClick=${onStop}>${t`Stop`}</button>` : html`<button class="main" disabled=${disabled || !(text.trim() || images.length)}>${t`Send`}</button>`}
    </div></form>`;
}

/** A message that is said: transcribed into the box, to be read over before it is sent. */
function Spoken({ model, onText }) {
  const [busy, setBusy] = useState(false);
  if (!model || !navigator.mediaDevices) return null;
  async function transcribe(file) {
    setBusy(true);
    try {
      const text = (await hear(file, { model: model.name })).text.trim();
      if (text) onText(text);
    } catch (error) {
      failed(error);
    }
    setBusy(false);
  }
  return busy ? html`<span class="quiet small" role="status">${t`Is being written down…`}</span>` : html`<${Microphone} onDone=${transcribe} small />`;
}

const dataUrl = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(file);
});
