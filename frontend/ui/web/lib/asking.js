// One chat answer as it comes: text, reasoning, calls, what it waits for, and its figures. It goes on
// at the server if this page is left or loaded again, and is then read from its beginning.
import { events, remove } from "./api.js";

const PATH = "/v1/chat/completions";
const ASKS = { "x-request-resume": "1", "x-progress": "1" };

/** Calls `onChange` with the answer whenever more of it has come; returns it when it has ended. */
export function ask(body, onChange, signal) {
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  return read(events("POST", PATH, asked, signal, ASKS), onChange);
}

const place = (id) => `/v1/stream?id=${encodeURIComponent(id)}`;

/** The same for an answer that was begun before. */
export const goOn = (id, onChange, signal) => read(events("GET", place(id), undefined, signal), onChange);

/** Has the server end it. */
export const stop = (id) => remove(place(id)).catch(() => {}); // it has ended by itself

async function read(come, onChange) {
  const answer = { role: "assistant", content: "", reasoning: "", calls: [], status: "waiting", began: performance.now(), first: null, usage: null };
  const told = () => onChange({ ...answer });
  told();
  for await (const { data, comment, response } of come) {
    answer.streamId ??= response.headers.get("x-stream-id");
    if (comment) answer.status = inWords(comment);
    if (data === "[DONE]") break;
    if (data) take(answer, JSON.parse(data));
    told();
  }
  answer.status = answer.finish === "length" ? "cut off by the limit of tokens" : "";
  answer.ended = performance.now();
  told();
  return answer;
}

/** What a comment says of the wait; most can be read as they are. */
function inWords(comment) {
  const found = comment.match(/^prefill (\d+)\/(\d+) eta=(\S+)s$/);
  return found ? `reading the prompt: ${found[1]} of ${found[2]} tokens, ${Math.ceil(found[3])} s left` : comment;
}

function take(answer, chunk) {
  if (chunk.error) throw new Error(chunk.error.message);
  if (chunk.usage) answer.usage = chunk.usage;
  for (const { delta, finish_reason: finish } of chunk.choices ?? []) {
    if (finish) answer.finish = finish;
    const { content, reasoning_content: reasoning, tool_calls: calls = [] } = delta ?? {};
    if (content || reasoning || calls.length) {
      answer.first ??= performance.now();
      answer.status = "";
    }
    answer.content += content ?? "";
    answer.reasoning += reasoning ?? "";
    for (const call of calls) {
      const known = (answer.calls[call.index] ??= { id: call.id, name: "", arguments: "" });
      known.name += call.function?.name ?? "";
      known.arguments += call.function?.arguments ?? "";
    }
  }
}

/** Seconds to the first token, and tokens a second from then on. */
export function figures(answer) {
  if (!answer.ended || answer.first == null) return null;
  const first_s = (answer.first - answer.began) / 1000;
  const rest_s = (answer.ended - answer.first) / 1000;
  const written = answer.usage?.completion_tokens;
  return { first_s, written, prompt: answer.usage?.prompt_tokens, cached: answer.usage?.prompt_tokens_details?.cached_tokens, rate: written > 1 && rest_s > 0 ? (written - 1) / rest_s : null };
}
