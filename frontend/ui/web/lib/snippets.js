// A request as people write it elsewhere. A key is never in it, only where it belongs.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(path, body, keys) {
  const lines = [`curl ${location.origin}${path}`, "-H 'content-type: application/json'"];
  if (keys) lines.push('-H "authorization: Bearer $EDGE_SERVE_API_KEY"');
  lines.push(`-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

const CALLS = {
  "/v1/chat/completions": "chat.completions.create",
  "/v1/embeddings": "embeddings.create",
  "/v1/audio/speech": "audio.speech.create",
};

export function python(path, body, keys) {
  const { stream, ...rest } = body;
  const named = Object.entries(rest).map(([name, value]) => `    ${name}=${literal(value)},`);
  const key = keys ? 'os.environ["EDGE_SERVE_API_KEY"]' : '"none"';
  const call = [`answer = client.${CALLS[path]}(`, ...named, ...(stream ? ["    stream=True,"] : []), ")"];
  const shown = stream
    ? ["for chunk in answer:", "    for choice in chunk.choices:", '        print(choice.delta.content or "", end="", flush=True)']
    : ["print(answer)"];
  return [
    ...(keys ? ["import os", ""] : []), "from openai import OpenAI", "",
    `client = OpenAI(base_url="${location.origin}/v1", api_key=${key})`, ...call, ...shown,
  ].join("\n");
}

export function javascript(path, body, keys) {
  const key = keys ? "process.env.EDGE_SERVE_API_KEY" : '"none"';
  return [
    'import OpenAI from "openai";', "",
    `const client = new OpenAI({ baseURL: "${location.origin}/v1", apiKey: ${key} });`,
    `const answer = await client.${CALLS[path]}(${JSON.stringify(body, null, 2)});`,
    ...(body.stream
      ? ["for await (const chunk of answer) {", '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");', "}"]
      : ["console.log(answer);"]),
  ].join("\n");
}

function literal(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one)}`).join(", ")}}`;
  return JSON.stringify(value);
}
