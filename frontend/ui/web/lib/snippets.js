// A request as people write it elsewhere. A key is never in it, only where it belongs.
import { Copyable } from "./copy.js";
import { html, useState } from "./dom.js";
import { failed } from "./notices.js";
import { t } from "./words.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(path, body, keys) {
  const lines = [`curl ${location.origin}${path}`, ...authorization(keys), "-H 'content-type: application/json'"];
  lines.push(`-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

const authorization = (keys) => (keys ? ['-H "authorization: Bearer $EDGE_SERVE_API_KEY"'] : []);

/** The same of a form with a file. */
export function curlForm(path, fields, keys) {
  const lines = [`curl ${location.origin}${path}`, ...authorization(keys)];
  for (const [name, value] of Object.entries(fields)) lines.push(`-F ${quoted(`${name}=${value}`)}`);
  return lines.join(" \\\n  ");
}

// What OpenAI's clients call it; for other paths they have `post`.
const CALLS = {
  "/v1/chat/completions": "chat.completions.create",
  "/v1/embeddings": "embeddings.create",
  "/v1/audio/speech": "audio.speech.create",
};

export function python(path, body, keys) {
  const { stream, ...rest } = body;
  const key = keys ? 'os.environ["EDGE_SERVE_API_KEY"]' : '"none"';
  return [
    ...(keys ? ["import os", ""] : []), "from openai import OpenAI", "",
    `client = OpenAI(base_url="${location.origin}/v1", api_key=${key})`,
    ...(CALLS[path] ? pythonCall(CALLS[path], rest, stream) : pythonPost(path, rest)),
    ...pythonShown(path, stream),
  ].join("\n");
}

const pythonCall = (call, body, stream) => [
  `answer = client.${call}(`, ...Object.entries(body).map(([name, value]) => `    ${name}=${literal(value)},`),
  ...(stream ? ["    stream=True,"] : []), ")",
];

const pythonPost = (path, body) =>
  [`answer = client.post("${path.replace("/v1", "")}", body=${literal(body)}, cast_to=object)`];

function pythonShown(path, stream) {
  if (path === "/v1/audio/speech") return ['answer.write_to_file("speech.mp3")'];
  if (!stream) return ["print(answer)"];
  return ["for chunk in answer:", "    for choice in chunk.choices:", '        print(choice.delta.content or "", end="", flush=True)'];
}

export function javascript(path, body, keys) {
  const key = keys ? "process.env.EDGE_SERVE_API_KEY" : '"none"';
  const asked = JSON.stringify(body, null, 2);
  const call = CALLS[path] ? `${CALLS[path]}(${asked})` : `post("${path.replace("/v1", "")}", { body: ${asked} })`;
  return [
    'import OpenAI from "openai";', ...(path === "/v1/audio/speech" ? ['import { writeFile } from "node:fs/promises";'] : []), "",
    `const client = new OpenAI({ baseURL: "${location.origin}/v1", apiKey: ${key} });`,
    `const answer = await client.${call};`, ...javascriptShown(path, body.stream),
  ].join("\n");
}

function javascriptShown(path, stream) {
  if (path === "/v1/audio/speech") return ['await writeFile("speech.mp3", Buffer.from(await answer.arrayBuffer()));'];
  if (!stream) return ["console.log(answer);"];
  return ["for await (const chunk of answer) {", '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");', "}"];
}

function literal(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one)}`).join(", ")}}`;
  return JSON.stringify(value);
}

const FORMS = { curl, Python: python, JavaScript: javascript };

/** Buttons that show a request of `path` in each form; `body` makes what is asked, and may throw. */
export function CopyAs({ path, body, keys }) {
  const [code, setCode] = useState(null);
  function show(name) {
    try {
      setCode(code?.name === name ? null : { name, text: FORMS[name](path, body(), keys) });
    } catch (error) {
      failed(error);
    }
  }
  return html`<div class="stack close"><div class="row"><span class="quiet small">${t`The same as`}</span>
      ${Object.keys(FORMS).map((name) => html`<button type="button" key=${name} class="small" aria-pressed=${code?.name === name} onClick=${() => show(name)}>${name}</button>`)}</div>
    ${code && html`<${Copyable} text=${code.text} />`}</div>`;
}
