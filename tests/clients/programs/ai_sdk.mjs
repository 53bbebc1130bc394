// /// script
// dependencies = ["ai@7.0.173", "@ai-sdk/openai-compatible@3.0.92", "zod@4.6.7"]
// [tool.edge-serve]
// models = ["chat-completion", "tools"]
// ///
// Vercel's AI SDK with its provider for compatible servers: generateObject and streamObject, the
// same by `output`, a tool that must be called and then its result, whole and streamed.

import assert from "node:assert/strict";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, isStepCount, Output, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const [url, name, caller] = process.argv.slice(2);
const provider = createOpenAICompatible({
  name: "edge-serve",
  baseURL: url,
  apiKey: "unused",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const options = { model: provider(name), temperature: 0, maxOutputTokens: 200, maxRetries: 0 };
const city = z.object({
  name: z.string(),
  size: z.enum(["small", "large"]),
  people: z.number().int().nullable(),
});

const whole = await generateObject({ ...options, schema: city, prompt: "Name a city." });
city.parse(whole.object);
assert.equal(whole.finishReason, "stop");
assert.ok(whole.usage.outputTokens > 0, "no usage");

const parts = streamObject({ ...options, schema: city, prompt: "Name a city." });
let last;
for await (const part of parts.partialObjectStream) last = part;
assert.deepEqual(last, await parts.object);
assert.ok((await parts.usage).outputTokens > 0, "no usage of a stream");

const choice = await generateText({
  ...options,
  output: Output.choice({ options: ["yes", "no"] }),
  prompt: "Is Paris a city?",
});
assert.ok(["yes", "no"].includes(choice.output), choice.output);

const tools = {
  weather: tool({
    description: "The weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `It rains in ${city}.`,
  }),
};
const asked = {
  ...options,
  tools,
  prompt: "How is the weather in Paris?",
  toolChoice: "required",
  stopWhen: isStepCount(2),
  prepareStep: ({ stepNumber }) => (stepNumber > 0 ? { toolChoice: "none" } : {}),
  providerOptions: { edgeServe: { parallel_tool_calls: false } },
};

function check(steps) {
  const [first, second] = steps;
  assert.equal(first.finishReason, "tool-calls");
  assert.equal(first.toolCalls.length, 1);
  assert.equal(first.toolCalls[0].toolName, "weather");
  assert.equal(first.toolResults[0].output, `It rains in ${first.toolCalls[0].input.city}.`);
  assert.ok(second.text.length > 0, "no text after a call");
}

check((await generateText(asked)).steps);

const stream = streamText(asked);
const kinds = new Set();
for await (const part of stream.fullStream) kinds.add(part.type);
assert.ok(!kinds.has("error"), "the stream has an error");
for (const kind of ["tool-input-start", "tool-input-delta", "tool-call", "tool-result", "text-delta"]) {
  assert.ok(kinds.has(kind), `no ${kind} in ${[...kinds]}`);
}
check(await stream.steps);

const free = await generateText({
  ...options,
  model: provider(caller),
  tools,
  prompt: "How is the weather in Paris?",
});
assert.equal(free.toolCalls[0].toolName, "weather");
assert.deepEqual(free.toolCalls[0].input, { city: "Paris" });
