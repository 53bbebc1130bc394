// /// script
// dependencies = ["openai@7.59.0", "zod@4.6.7"]
// [tool.edge-serve]
// models = ["chat-completion", "tools"]
// ///
// OpenAI's own library for JavaScript: parse, the helper for streams, the runner of tools.

import assert from "node:assert/strict";

import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const [url, name, caller] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: "unused", maxRetries: 0 });
const City = z.object({
  name: z.string(),
  size: z.enum(["small", "large"]),
  people: z.number().int().nullable(),
});
const options = { model: name, temperature: 0, max_tokens: 200 };
const messages = [{ role: "user", content: "Name a city." }];
const format = zodResponseFormat(City, "city");

const parsed = await client.chat.completions.parse({ ...options, messages, response_format: format });
City.parse(parsed.choices[0].message.parsed);
await assert.rejects(
  client.chat.completions.parse({ ...options, messages, response_format: format, max_tokens: 5 }),
  OpenAI.LengthFinishReasonError,
);

const stream = client.chat.completions.stream({
  ...options,
  messages,
  response_format: format,
  stream_options: { include_usage: true },
});
let text = "";
stream.on("content", (delta) => (text += delta));
const streamed = await stream.finalChatCompletion();
assert.equal(text, streamed.choices[0].message.content);
City.parse(streamed.choices[0].message.parsed);
assert.ok((await stream.totalUsage()).completion_tokens > 0, "no usage of a stream");

const question = [{ role: "user", content: "How is the weather in Paris?" }];
const Arguments = z.object({ city: z.string() });
const told = [];
const tool = zodFunction({
  name: "weather",
  description: "The weather of a city.",
  parameters: Arguments,
  function: ({ city }) => {
    told.push(city);
    return `It rains in ${city}.`;
  },
});

const called = await client.chat.completions.parse({
  ...options,
  messages: question,
  tools: [tool],
  tool_choice: "required",
  parallel_tool_calls: false,
});
const [call] = called.choices[0].message.tool_calls;
Arguments.parse(call.function.parsed_arguments);

// The runner calls a tool that it is made to call by its name just once.
for (const streams of [false, true]) {
  told.length = 0;
  const runner = client.chat.completions.runTools({
    ...options,
    messages: question,
    tools: [tool],
    tool_choice: { type: "function", function: { name: "weather" } },
    parallel_tool_calls: false,
    stream: streams,
  });
  await runner.done();
  assert.equal(told.length, 1);
  assert.equal(runner.messages.at(-1).content, `It rains in ${told[0]}.`);
}

const free = await client.chat.completions.create({
  ...options,
  model: caller,
  messages: question,
  tools: [{ type: "function", function: { ...tool.function, strict: undefined } }],
});
const [first] = free.choices[0].message.tool_calls;
assert.deepEqual(JSON.parse(first.function.arguments), { city: "Paris" });

// What is told of a wait is in headers, and in comments that are no chunks: while one answer after
// the other is written, some of these wait.
const asked = { ...options, messages: question, stream: true, max_tokens: 16 };
const waits = await Promise.all(
  Array.from({ length: 12 }, () =>
    client.chat.completions.create(asked, { headers: { "x-progress": "1" } }).withResponse(),
  ),
);
for (const { data, response } of waits) {
  assert.ok(Number(response.headers.get("x-queue-position")) >= 0);
  let chunks = 0;
  for await (const chunk of data) chunks += chunk.choices.length;
  assert.ok(chunks > 0, "no chunks");
}
