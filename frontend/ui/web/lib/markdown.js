// What a model writes, as Markdown. It is hostile: nothing in it may run, ask another server or look
// like a part of this page, so images and styles are left out and links say where they lead.
import { makeCopyable } from "./copy.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./dom.js";

let libraries = null;

function load() {
  libraries ??= Promise.all([import("../vendor/marked.js"), import("../vendor/purify.js")]).then(([{ marked }]) => {
    const purify = globalThis.DOMPurify;
    purify.addHook("afterSanitizeAttributes", (node) => {
      if (node.tagName === "A") {
        node.setAttribute("rel", "noopener noreferrer nofollow");
        node.setAttribute("target", "_blank");
        node.setAttribute("title", node.getAttribute("href") ?? "");
      }
    });
    return { marked, purify };
  });
  return libraries;
}

const ALLOWED = {
  ALLOWED_TAGS: ["a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol", "p", "pre", "s", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"],
  ALLOWED_ATTR: ["href", "start"],
  ALLOWED_URI_REGEXP: /^(https?|mailto):/i,
  RETURN_TRUSTED_TYPE: true,
};

/** `text` as Markdown; as it is until the library has come. Its code can be copied once it is `whole`. */
export function Markdown({ text, whole }) {
  const [ready, setReady] = useState(null);
  const place = useRef(null);
  useEffect(() => void load().then((found) => setReady(() => found)), []);
  useLayoutEffect(() => {
    if (!ready) return;
    place.current.innerHTML = ready.purify.sanitize(ready.marked.parse(text, { gfm: true, breaks: true }), ALLOWED);
    if (whole) makeCopyable(place.current);
  }, [ready, text, whole]);
  return ready ? html`<div class="markdown" ref=${place}></div>` : html`<div class="markdown asis">${text}</div>`;
}
