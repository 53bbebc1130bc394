// One chat answer as it comes: text, reasoning, calls, what it waits for, and its figures. It goes on
// at the server if this page is left or loaded again, and is then read from its beginning.
import { events, remove } from "./api.js";
import { duration } from "./format.js";
import { t } from "./words.js";

const PATH = "/v1/chat/completions";
const ASKS = { "x-request-resume": "1", "x-progress": "1" };

/** Calls `onChange` with the answer whenever more of it has come; returns it when it has ended. */
export function ask(body, onChange, signal) {
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  return read(events("POST", PATH, asked, signal, ASKS), onChange, performance.now());
}

const place = (id) => `/v1/stream?id=${encodeURIComponent(id)}`;

/** The same for an answer that was begun before. */
export const goOn = (id, onChange, signal) => read(events("GET", place(id), undefined, signal), onChange, null);

/** Has the server end it. */
export const stop = (id) => remove(place(id)).catch(() => {}); // it has ended by itself

/** `began` is null where nobody knows any more when it was asked. */
async function read(come, onChange, began) {
  const answer = { role: "assistant", content: "", reasoning: "", calls: [], status: t`waiting`, began, first: null, usage: null };
  const told = () => onChange({ ...answer });
  told();
  for await (const { data, comment, response } of come) {
    answer.streamId ??= response.headers.get("x-stream-id");
    if (comment) answer.status = inWords(comment) ?? answer.status;
    if (data === "[DONE]") break;
    if (data) take(answer, JSON.parse(data));
    told();
  }
  answer.status = answer.finish === "length" ? t`cut off by the limit of tokens` : "";
  answer.ended = performance.now();
  told();
  return answer;
}

/** What a comment says of the wait, see docs/limits.md; undefined where it says nothing. */
function inWords(comment) {
  const [kind, ...words] = comment.split(" ");
  const facts = Object.fromEntries(words.map((word) => word.split("=")));
  const left = facts.eta ? t`, about ${duration(parseFloat(facts.eta))} to go` : "";
  if (kind === "queue") return t`waiting, number ${facts.position}` + left;
  if (kind === "loading") return t`the model is being loaded: ${(facts.stage ?? "").replaceAll("-", " ")}` + left;
  if (kind === "prefill") return t`reading the prompt: ${words[0].replace("/", t` of `)} tokens` + left;
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
    if (reasoning && answer.began != null) answer.thinks ??= performance.now();
    if (content && answer.thinks) answer.thought_s ??= (performance.now() - answer.thinks) / 1000;
    answer.content += content ?? "";
    answer.reasoning += reasoning ?? "";
    for (const call of calls) {
      const known = (answer.calls[call.index] ??= { id: call.id, name: "", arguments: "" });
      known.name += call.function?.name ?? "";
      known.arguments += call.function?.arguments ?? "";
    }
  }
}

/** What an answer took: tokens, and where its beginning was seen, seconds to the first token and
 * tokens a second from then on. Null for one that has none. */
export function figures({ ended, began, first, usage }) {
  if (!ended || first == null) return null;
  const written = usage?.completion_tokens;
  const counts = { written, prompt: usage?.prompt_tokens, cached: usage?.prompt_tokens_details?.cached_tokens };
  if (began == null) return counts;
  const rest_s = (ended - first) / 1000;
  return { ...counts, first_s: (first - began) / 1000, rate: written > 1 && rest_s > 0 ? (written - 1) / rest_s : null };
}
