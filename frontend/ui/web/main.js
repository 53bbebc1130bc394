// The frame around all pages: who is here, where to go, light or dark, in which language.
import { logIn, logOut, session, whenLoggedOut } from "./lib/api.js";
import { html, render, useEffect, useErrorBoundary, useRef, useState } from "./lib/dom.js";
import { refresh, useLive } from "./lib/live.js";
import { Notices } from "./lib/notices.js";
import { link, useRoute } from "./lib/router.js";
import { Stale } from "./lib/stale.js";
import { nextTheme, theme } from "./lib/theme.js";
import { LANGUAGES, language, loadWords, said, speak, t } from "./lib/words.js";

// Each page is loaded when it is first opened. Those marked so are for who manages the server.
const PAGES = [
  { id: "overview", title: "Overview", load: () => import("./pages/overview.js") },
  { id: "models", title: "Models", load: () => import("./pages/models.js") },
  { id: "chat", title: "Chat", load: () => import("./pages/chat.js") },
  { id: "tools", title: "Try out", load: () => import("./pages/tools.js") },
  { id: "requests", title: "Requests", load: () => import("./pages/requests.js"), admin: true },
  { id: "logs", title: "Logs", load: () => import("./pages/logs.js"), admin: true },
  { id: "keys", title: "Keys & usage", load: () => import("./pages/keys.js") },
  { id: "settings", title: "Settings", load: () => import("./pages/settings.js"), admin: true },
  { id: "connect", title: "Connect", load: () => import("./pages/connect.js") },
  { id: "api", title: "API", load: () => import("./pages/api.js") },
];

function App() {
  const [who, setWho] = useState(null);
  useEffect(() => {
    session().then(setWho, (error) => setWho({ refused: true, error }));
    whenLoggedOut(() => setWho({ refused: true }));
  }, []);
  if (!who) return html`<p class="boot">edge-serve</p>`;
  if (who.refused) return html`<${LogIn} error=${who.error} onDone=${setWho} /><${Notices} />`;
  return html`<${Frame} who=${who} onOut=${() => setWho({ refused: true })} /><${Notices} />`;
}

function Frame({ who, onOut }) {
  const route = useRoute();
  const pages = PAGES.filter((page) => !page.admin || who.role === "admin");
  const page = pages.find((one) => one.id === route.page) ?? pages[0];
  const main = useRef(null);
  const shown = useRef(page.id);
  useEffect(() => {
    document.title = `${said(page.title)} · edge-serve`;
    if (shown.current !== page.id) main.current?.focus();
    shown.current = page.id;
  }, [page.id]);
  return html`
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), main.current?.focus())}>
      ${t`Skip to the page`}</a>
    <header>
      <a class="brand" href=${link("overview")}>edge-serve</a>
      <${Menu} pages=${pages} page=${page} />
      <${Stale} />
      <div class="row tight"><${Language} /><${Theme} />
      ${who.name && html`<button class="plain" title=${t`Logged in with the key ${who.name}`}
        onClick=${() => logOut().finally(onOut)}>${t`Log out`}</button>`}</div>
    </header>
    <main id="main" tabindex="-1" ref=${main}>
      <${Lazy} key=${page.id} page=${page} route=${route} who=${who} />
    </main>`;
}

/** The pages side by side, or on a phone behind a button that says where one is. */
function Menu({ pages, page }) {
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [page.id]);
  return html`<button class="menu" aria-expanded=${open} aria-controls="pages"
      onClick=${() => setOpen(!open)}>${said(page.title)}</button>
    <nav id="pages" class=${open ? "open" : ""} aria-label=${t`Pages`}
        onKeyDown=${(event) => event.key === "Escape" && setOpen(false)}>
      ${pages.map((one) => html`<a key=${one.id} href=${link(one.id)} onClick=${() => setOpen(false)}
        aria-current=${one.id === page.id ? "page" : null}>${said(one.title)}</a>`)}
    </nav>`;
}

function Lazy({ page, route, who }) {
  const [loaded, setLoaded] = useState(null);
  const [error, reset] = useErrorBoundary();
  useEffect(() => {
    page.load().then((module) => setLoaded(() => module.default), () => setLoaded(() => Missing));
  }, []);
  if (error) {
    return html`<section><h1>${said(page.title)}</h1><p class="error">${t`This page has failed: ${error.message}`}</p>
      <button onClick=${reset}>${t`Try again`}</button></section>`;
  }
  return loaded ? html`<${loaded} route=${route} who=${who} title=${said(page.title)} />` : html`<p class="quiet">…</p>`;
}

/** In place of a page whose files did not come: the server is away, or it was updated under an open
 * page, and its files have other addresses now. */
function Missing({ title }) {
  const { error } = useLive();
  const [asked, setAsked] = useState(false);
  const away = useRef(false);
  useEffect(() => void Promise.resolve(refresh()).then(() => setAsked(true)), []);
  useEffect(() => {
    if (error) away.current = true;
    else if (away.current) location.reload(); // with the files that it has now
  }, [error]);
  const answers = asked && !away.current;
  return html`<h1>${title}</h1>${error && html`<p class="quiet">${t`The server does not answer. This page opens as soon as it does.`}</p>`}
    ${!error && answers && html`<p>${t`The server has a newer page.`} <button onClick=${() => location.reload()}>${t`Load it`}</button></p>`}`;
}

function Theme() {
  const [now, setNow] = useState(theme());
  const words = { auto: t`as the system`, light: t`light`, dark: t`dark` }[now];
  return html`<button class="plain theme" onClick=${() => setNow(nextTheme())}
    aria-label=${t`Colours: ${words}. Change`} title=${t`Colours: ${words}`}>${{ auto: "◐", light: "○", dark: "●" }[now]}</button>`;
}

function Language() {
  const other = Object.keys(LANGUAGES).find((one) => one !== language());
  return html`<button class="plain" lang=${other} title=${LANGUAGES[other]} aria-label=${LANGUAGES[other]}
    onClick=${() => speak(other)}>${other.toUpperCase()}</button>`;
}

function LogIn({ error, onDone }) {
  const [problem, setProblem] = useState(error?.status === 401 || !error ? null : error.message);
  const [busy, setBusy] = useState(false);
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    try {
      const key = new FormData(event.target).get("key").trim();
      onDone({ ...(await logIn(key)), keys: true });
    } catch (failure) {
      setProblem(failure.message);
      setBusy(false);
    }
  }
  return html`<main class="login">
    <form class="card" onSubmit=${submit}>
      <h1>edge-serve</h1>
      <label for="key">${t`One of this server's API keys`}</label>
      <input id="key" name="key" type="password" autocomplete="current-password" required autofocus
        aria-describedby=${problem ? "problem" : null} />
      ${problem && html`<p id="problem" class="error" role="alert">${problem}</p>`}
      <button class="main" disabled=${busy}>${t`Log in`}</button>
      <p class="quiet small">${t`It is sent once, and not kept here: a cookie stands for it until you log out.`}</p>
    </form>
  </main>`;
}

await loadWords();
render(html`<${App} />`, document.getElementById("app"));
document.querySelector("#app > .boot:not(:only-child)")?.remove();
