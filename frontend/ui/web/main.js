// The frame around all pages: who is here, where to go, light or dark.
import { logIn, logOut, session } from "./lib/api.js";
import { html, render, useEffect, useErrorBoundary, useRef, useState } from "./lib/dom.js";
import { Notices } from "./lib/notices.js";
import { link, useRoute } from "./lib/router.js";
import { nextTheme, theme } from "./lib/theme.js";

// Each page is loaded when it is first opened. Those marked so are for who manages the server.
const PAGES = [
  { id: "overview", title: "Overview", load: () => import("./pages/overview.js") },
  { id: "models", title: "Models", load: () => import("./pages/models.js") },
  { id: "chat", title: "Chat", load: () => import("./pages/chat.js") },
  { id: "tools", title: "Try out", load: () => import("./pages/tools.js") },
  { id: "requests", title: "Requests", load: () => import("./pages/requests.js"), admin: true },
  { id: "logs", title: "Logs", load: () => import("./pages/logs.js"), admin: true },
  { id: "connect", title: "Connect", load: () => import("./pages/connect.js") },
  { id: "api", title: "API", load: () => import("./pages/api.js") },
];

function App() {
  const [who, setWho] = useState(null);
  useEffect(() => {
    session().then(setWho, (error) => setWho({ refused: true, error }));
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
    document.title = `${page.title} · edge-serve`;
    if (shown.current !== page.id) main.current?.focus();
    shown.current = page.id;
  }, [page.id]);
  return html`
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), main.current?.focus())}>
      Skip to the page</a>
    <header>
      <a class="brand" href=${link("overview")}>edge-serve</a>
      <nav aria-label="Pages">
        ${pages.map((one) => html`<a key=${one.id} href=${link(one.id)}
          aria-current=${one.id === page.id ? "page" : null}>${one.title}</a>`)}
      </nav>
      <${Theme} />
      ${who.name && html`<button class="plain" title=${`Logged in with the key ${who.name}`}
        onClick=${() => logOut().finally(onOut)}>Log out</button>`}
    </header>
    <main id="main" tabindex="-1" ref=${main}>
      <${Lazy} key=${page.id} page=${page} route=${route} who=${who} />
    </main>`;
}

function Lazy({ page, route, who }) {
  const [loaded, setLoaded] = useState(null);
  const [error, reset] = useErrorBoundary();
  useEffect(() => {
    page.load().then((module) => setLoaded(() => module.default), (problem) => setLoaded(() => Gone(problem)));
  }, []);
  if (error) {
    return html`<section><h1>${page.title}</h1><p class="error">This page has failed: ${error.message}</p>
      <button onClick=${reset}>Try again</button></section>`;
  }
  return loaded ? html`<${loaded} route=${route} who=${who} />` : html`<p class="quiet">…</p>`;
}

// The server has been updated under an open page: its files have other addresses now.
const Gone = () => () => html`<p>The server has a newer page.
  <button onClick=${() => location.reload()}>Load it</button></p>`;

function Theme() {
  const [now, setNow] = useState(theme());
  return html`<button class="plain theme" onClick=${() => setNow(nextTheme())}
    aria-label=${`Colours: ${now}. Change`} title=${`Colours: ${now}`}>${{ auto: "◐", light: "○", dark: "●" }[now]}</button>`;
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
    <form onSubmit=${submit}>
      <h1>edge-serve</h1>
      <label for="key">One of this server's API keys</label>
      <input id="key" name="key" type="password" autocomplete="current-password" required autofocus
        aria-describedby=${problem ? "problem" : null} />
      ${problem && html`<p id="problem" class="error" role="alert">${problem}</p>`}
      <button class="main" disabled=${busy}>Log in</button>
      <p class="quiet">It is sent once, and not kept here: a cookie stands for it until you log out.</p>
    </form>
  </main>`;
}

render(html`<${App} />`, document.getElementById("app"));
document.querySelector("#app > .boot:not(:only-child)")?.remove();
