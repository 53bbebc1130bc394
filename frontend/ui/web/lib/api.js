// Calls to this server's API: the page knows and can do nothing else.
import { t } from "./words.js";

let token = null; // of the session, for requests that change something
let onLoggedOut = () => {};

/** Calls `listener` when the server no longer knows who asks: a session ends, also with the server. */
export const whenLoggedOut = (listener) => (onLoggedOut = listener);

// A 401 of these says nothing of a session.
const DOORS = ["/session", "/login"];

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? t`the server answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

/** Who asks: {keys, name, role}; throws ApiError 401 where a key is needed. */
export async function session() {
  const found = await get("/session");
  token = found.token;
  return found;
}

export async function logIn(key) {
  const found = await post("/login", { key });
  token = found.token;
  return found;
}

export const logOut = () => post("/logout");

export const get = (path, options) => send("GET", path, undefined, options);
export const post = (path, body = {}, options) => send("POST", path, body, options);
export const patch = (path, body) => send("PATCH", path, body);
export const remove = (path) => send("DELETE", path);

/** The whole answer, `as` what a Response has a method for. */
async function send(method, path, body, { as = "json", signal } = {}) {
  const response = await request(method, path, body, signal);
  return response.status === 204 ? null : await carried(response[as](), t`the connection to the server has broken off`);
}

/** What comes by the network; where that fails, which a browser tells by a TypeError, `said` is why. */
const carried = (coming, said) => coming.catch((error) => {
  throw error instanceof TypeError ? new ApiError(0, { error: { message: said } }) : error;
});

async function request(method, path, body, signal, more = {}) {
  const headers = { accept: "application/json", ...more };
  if (token && method !== "GET") headers["x-csrf"] = token;
  const form = body instanceof FormData;
  if (body !== undefined && !form) headers["content-type"] = "application/json";
  const response = await carried(fetch(path, {
    method, headers, signal, body: form || body === undefined ? body : JSON.stringify(body),
  }), t`the server cannot be reached`);
  if (response.status === 401 && !DOORS.includes(path)) onLoggedOut();
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response) {
  const body = await response.json().catch(() => null);
  return new ApiError(response.status, body);
}

/** Each server-sent event of a request as {event, data, comment}, until it ends. */
export async function* events(method, path, body, signal, more = {}) {
  const response = await request(method, path, body, signal, more);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await carried(reader.read(), t`the connection to the server has broken off`);
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) yield { ...parse(block), response };
  }
}

function parse(block) {
  const found = { event: "message", data: "", comment: "", id: null };
  for (const line of block.split("\n")) {
    if (line.startsWith(":")) found.comment += line.slice(1).trim();
    else if (line.startsWith("data:")) found.data += (found.data && "\n") + line.slice(5).replace(/^ /, "");
    else if (line.startsWith("event:")) found.event = line.slice(6).trim();
    else if (line.startsWith("id:")) found.id = line.slice(3).trim();
  }
  return found;
}
