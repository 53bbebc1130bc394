// /// script
// dependencies = ["@anthropic-ai/sdk@1.14.0"]
// ///
// Anthropic's own library for JavaScript: messages, its helper for streams, tools, counted tokens.

import assert from "node:assert/strict";

import Anthropic from "@anthropic-ai/sdk";

const [url, name] = process.argv.slice(2);
// Its base URL has no /v1.
const client = new Anthropic({ baseURL: url.replace(/\/v1$/, ""), apiKey: "unused", maxRetries: 0 });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const options = { model: name, max_tokens: 60, messages };
const tools = [
  {
    name: "get_weather",
    description: "The weather of a city.",
    input_schema: {
      type: "object",
      properties: { city: { enum: ["Paris", "Köln"] } },
      required: ["city"],
      additionalProperties: false,
    },
  },
];

const message = await client.messages.create({ ...options, system: [{ type: "text", text: "Be brief." }] });
assert.equal(message.content[0].type, "text");
assert.ok(["end_turn", "max_tokens"].includes(message.stop_reason));
assert.ok(message._request_id, "no request id");

const stream = client.messages.stream(options);
let text = "";
stream.on("text", (delta) => (text += delta));
const streamed = await stream.finalMessage();
assert.equal(text, streamed.content[0].text);
assert.ok(streamed.usage.output_tokens > 0, "no usage of a stream");

const counted = await client.messages.countTokens({ model: name, messages });
const { usage } = streamed;
assert.equal(counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens);

const called = await client.messages
  .stream({ ...options, tools, tool_choice: { type: "tool", name: "get_weather" } })
  .finalMessage();
const call = called.content.find((block) => block.type === "tool_use");
assert.equal(called.stop_reason, "tool_use");
assert.ok(["Paris", "Köln"].includes(call.input.city), JSON.stringify(call));

const answer = await client.messages.create({
  ...options,
  tools,
  tool_choice: { type: "none" },
  messages: [
    ...messages,
    { role: "assistant", content: called.content },
    { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "21 degrees" }] },
    { role: "system", content: "Be brief." },
  ],
});
assert.deepEqual([...new Set(answer.content.map((block) => block.type))], ["text"]);

await assert.rejects(
  client.messages.create({ ...options, model: "claude-none" }),
  (error) => error instanceof Anthropic.NotFoundError && error.error.error.type === "not_found_error",
);
