// /// script
// dependencies = ["langchain@1.5.14", "@langchain/openai@1.6.0", "@langchain/core@1.4.0", "zod@4.6.7"]
// [tool.edge-serve]
// models = ["chat-completion", "tools"]
// ///
// LangChain.js: bound tools, streamed too, structured output by two methods, an agent.

import assert from "node:assert/strict";

import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { createAgent } from "langchain";
import { z } from "zod";

const [url, name, caller] = process.argv.slice(2);
const options = { apiKey: "unused", temperature: 0, maxTokens: 200, maxRetries: 0 };
const model = new ChatOpenAI({ ...options, model: name, configuration: { baseURL: url } });
const City = z.object({ name: z.string(), size: z.enum(["small", "large"]) });
const told = [];
const weather = tool(
  ({ city }) => {
    told.push(city);
    return `It rains in ${city}.`;
  },
  {
    name: "weather",
    description: "The weather of a city.",
    schema: z.object({ city: z.string() }),
    returnDirect: true,
  },
);
const question = "How is the weather in Paris?";

for (const choice of ["any", "weather"]) {
  const bound = model.bindTools([weather], { tool_choice: choice, parallel_tool_calls: false });
  const [call] = (await bound.invoke(question)).tool_calls;
  assert.equal(call.name, "weather");
  assert.equal(typeof call.args.city, "string");
  let whole;
  for await (const chunk of await bound.stream(question)) {
    whole = whole === undefined ? chunk : whole.concat(chunk);
  }
  assert.deepEqual(whole.tool_calls.map(({ name, args }) => ({ name, args })), [
    { name: call.name, args: call.args },
  ]);
  assert.ok(whole.usage_metadata.output_tokens > 0, "no usage of a stream");
}

for (const method of ["jsonSchema", "functionCalling"]) {
  City.parse(await model.withStructuredOutput(City, { method }).invoke("Name a city."));
}

const free = new ChatOpenAI({ ...options, model: caller, configuration: { baseURL: url } });
const agent = createAgent({ model: free, tools: [weather] });
const { messages } = await agent.invoke({ messages: [{ role: "user", content: question }] });
assert.deepEqual(told, ["Paris"]);
assert.equal(messages.at(-1).content, "It rains in Paris.");
