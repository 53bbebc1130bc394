// /// script
// dependencies = ["ollama@0.6.4"]
// ///
// Ollama's own library for JavaScript: models, chats with tools and a schema, prompts, errors.

import assert from "node:assert/strict";

import { Ollama } from "ollama";

const [url, name] = process.argv.slice(2);
const client = new Ollama({ host: url.replace(/\/v1$/, "") });
const options = { temperature: 0, num_predict: 60, num_ctx: 2048 };
const messages = [{ role: "user", content: "What is the weather in Ulm?" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

const { models } = await client.list();
assert.ok(models.some((model) => model.model === name && model.digest.length === 64));
const shown = await client.show({ model: name });
assert.ok(shown.capabilities.includes("completion"));
assert.ok(shown.model_info[`${shown.model_info["general.architecture"]}.context_length`] > 0);
assert.ok((await client.ps()).models.some((model) => model.model === name));
assert.equal((await client.pull({ model: name })).status, "success");

const whole = await client.chat({ model: name, messages, options, keep_alive: "5m" });
assert.ok(whole.message.content);
let text = "";
let last;
for await (const part of await client.chat({ model: name, messages, options, stream: true })) {
  text += part.message.content;
  last = part;
}
assert.equal(text, whole.message.content);
assert.ok(last.done && last.eval_count === whole.eval_count && last.total_duration > 0);

const formed = await client.chat({ model: name, messages, options, format: parameters });
if (formed.done_reason === "stop") assert.equal(typeof JSON.parse(formed.message.content).city, "string");

const call = { function: { name: "weather", arguments: { city: "Ulm" } } };
const answered = await client.chat({
  model: name,
  messages: [
    ...messages,
    { role: "assistant", content: "", tool_calls: [call] },
    { role: "tool", content: "sunny", tool_name: "weather" },
  ],
  tools: [{ type: "function", function: { name: "weather", description: "of a city", parameters } }],
  options,
});
for (const made of answered.message.tool_calls ?? []) assert.equal(typeof made.function.arguments, "object");

assert.ok((await client.generate({ model: name, prompt: "Say hello.", options })).response);
const embeds = models.find((model) => model.capabilities.includes("embedding"));
assert.equal((await client.embed({ model: embeds.model, input: ["a", "b"] })).embeddings.length, 2);
await assert.rejects(client.chat({ model: "llama3.2", messages }), { status_code: 404 });
