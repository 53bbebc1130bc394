// What a conversation asks of the server.

export const PLAIN = { model: "", system: "", temperature: "", max_tokens: "", tools: "", schema: "" };

/** Throws where a part that is JSON cannot be read. */
export function request(model, options, turns) {
  const asked = { model, messages: turns.map(message) };
  if (options.system.trim()) asked.messages.unshift({ role: "system", content: options.system });
  if (options.temperature !== "") asked.temperature = Number(options.temperature);
  if (options.max_tokens !== "") asked.max_tokens = Number(options.max_tokens);
  if (options.tools.trim()) asked.tools = json(options.tools, "the tools");
  if (options.schema.trim()) {
    asked.response_format = { type: "json_schema", json_schema: { name: "answer", schema: json(options.schema, "the schema") } };
  }
  return asked;
}

function json(text, what) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${what}: ${error.message}`);
  }
}

function message(turn) {
  if (turn.role !== "assistant") return { role: turn.role, content: turn.content, ...(turn.tool_call_id && { tool_call_id: turn.tool_call_id }) };
  const calls = turn.calls.map((call) => ({ id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } }));
  return { role: "assistant", content: turn.content, ...(calls.length && { tool_calls: calls }) };
}

/** What was said, in other words: its images stay. */
export const reworded = ({ content }, text) =>
  typeof content === "string" ? text : content.map((part) => (part.type === "text" ? { ...part, text } : part));

export const textOf = (turn) =>
  typeof turn.content === "string" ? turn.content : turn.content.find((part) => part.type === "text")?.text ?? "";
