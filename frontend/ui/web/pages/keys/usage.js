// What was used, by day: of all keys, or of the one that asks.
import { get } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/dom.js";
import { count, duration } from "../../lib/format.js";
import { t } from "../../lib/words.js";

const DAYS = [7, 30, 90];
const SHOWN = 4; // so many have a colour of their own
const DAY_S = 86400;
const LEFT = { requests: () => t`Requests a minute`, tokens: () => t`Tokens`, tokens_of_day: () => t`Tokens a day` };
const tokens = (row) => row.prompt_tokens + row.completion_tokens;

export function Usage() {
  const [by, setBy] = useState("key");
  const [days, setDays] = useState(30);
  const answer = useAnswer(`/admin/usage?by=day,${by}&days=${days}`);
  const choose = (value, now, set, words) => html`<button class="small" aria-pressed=${value === now} onClick=${() => set(value)}>${words}</button>`;
  return html`<section class="card stack close"><div class="row apart"><h2>${t`Usage`}</h2><div class="row">
      ${choose("key", by, setBy, t`By key`)}${choose("model", by, setBy, t`By model`)}
      ${DAYS.map((each) => choose(each, days, setDays, t`${each} days`))}
      <a class="small" href=${`/admin/usage?by=day,key,model&days=${days}&format=csv`} download="usage.csv">${t`As CSV`}</a></div></div>
    <${Answer} answer=${answer} by=${by} days=${days} /></section>`;
}

export function OwnUsage() {
  const answer = useAnswer("/v1/usage?by=day,model&days=30");
  const left = Object.entries(answer?.left ?? {}).filter(([, one]) => one);
  return html`<section class="card stack close"><h2>${t`What your key has used in 30 days`}</h2><${Answer} answer=${answer} by="model" days=${30} /></section>
    ${left.length > 0 && html`<section class="card"><h2>${t`What it has left`}</h2><dl class="facts">${left.map(([what, one]) => html`<dt key=${what}>${LEFT[what]()}</dt>
      <dd class="num">${t`${count(one.remaining)} of ${count(one.limit)}`}${one.reset_s >= 1 ? t`; all of it in ${duration(one.reset_s)}` : ""}</dd>`)}</dl></section>`}`;
}

function useAnswer(path) {
  const [answer, setAnswer] = useState(null);
  useEffect(() => {
    setAnswer(null);
    let gone = false;
    const set = (found) => gone || setAnswer(found);
    get(path).then(set, (error) => set({ error }));
    return () => (gone = true);
  }, [path]);
  return answer;
}

function Answer({ answer, by, days }) {
  if (!answer) return html`<p class="quiet">…</p>`;
  if (answer.error) return html`<p class="callout">${answer.error.message}</p>`;
  if (!answer.rows.length) return html`<p class="empty">${t`Nobody has asked a model for anything in ${days} days.`}</p>`;
  const rows = answer.rows.map((row) => ({ ...row, name: row[by] || (by === "key" ? t`no key` : t`refused before`) }));
  const sums = summed(rows);
  return html`<${Bars} rows=${rows} names=${sums.map((sum) => sum.name)} since=${answer.since} until=${answer.until} />
    <div class="table" role="region" tabindex="0" aria-label=${t`Usage`}><table><thead><tr><th>${by === "key" ? t`Key` : t`Model`}</th><th class="num">${t`Requests`}</th><th class="num">${t`Failed`}</th><th class="num">${t`Tokens read`}</th><th class="num">${t`of these cached`}</th><th class="num">${t`Tokens written`}</th><th class="num">${t`Sound`}</th><th class="num">${t`Texts`}</th><th class="num">${t`Work`}</th></tr></thead>
      <tbody>${sums.map((sum) => html`<tr key=${sum.name}><td class="name">${sum.name}</td><td class="num">${count(sum.requests)}</td><td class="num">${sum.failed ? count(sum.failed) : "–"}</td>
        <td class="num">${count(sum.prompt_tokens)}</td><td class="num">${sum.cached_tokens ? count(sum.cached_tokens) : "–"}</td><td class="num">${count(sum.completion_tokens)}</td>
        <td class="num">${sum.audio_s ? duration(sum.audio_s) : "–"}</td><td class="num">${sum.texts ? count(sum.texts) : "–"}</td><td class="num">${duration(sum.work_s)}</td></tr>`)}</tbody></table></div>`;
}

/** A row for each name, who has the most tokens first. */
function summed(rows) {
  const sums = new Map();
  for (const row of rows) {
    const sum = sums.get(row.name) ?? { name: row.name };
    for (const [key, value] of Object.entries(row)) if (typeof value === "number") sum[key] = (sum[key] ?? 0) + value;
    sums.set(row.name, sum);
  }
  return [...sums.values()].sort((a, b) => tokens(b) - tokens(a) || b.requests - a.requests);
}

function Bars({ rows, names, since, until }) {
  const days = daysOf(since, until, rows);
  const most = Math.max(1, ...days.map((day) => day.tokens));
  const busiest = days.find((day) => day.tokens === most);
  const fill = (name) => (names.indexOf(name) < SHOWN ? `f${names.indexOf(name) + 1}` : "f-other");
  const span = t`Tokens a day from ${days[0].date} to ${days.at(-1).date}; the table below has the sums`;
  const label = busiest ? t`${span}. The most, ${count(most)}, on ${busiest.date}` : span;
  return html`<figure class="days"><div class="columns" role="img" aria-label=${label}>
      ${days.map((day) => html`<span key=${day.date} title=${t`${day.date}: ${count(day.tokens)} tokens`}>
        ${names.map((name) => day.rows.find((row) => row.name === name)).filter(Boolean).map((row) => html`<i key=${row.name} class=${fill(row.name)} style=${{ height: `${(100 * tokens(row)) / most}%` }}></i>`)}</span>`)}</div>
    <figcaption class="row apart small quiet"><span>${days[0].date}</span><span class="legend">${names.slice(0, SHOWN).map((name, at) => html`<span key=${name}><i class=${`f${at + 1}`}></i>${name}</span>`)}${names.length > SHOWN && html`<span><i class="f-other"></i>${t`others`}</span>`}</span><span>${days.at(-1).date}</span></figcaption></figure>`;
}

/** Every day of a time, those too on which nobody has asked for anything. */
function daysOf(since, until, rows) {
  const first = Math.floor(since / DAY_S), last = Math.floor((until - 1) / DAY_S);
  return Array.from({ length: last - first + 1 }, (_, at) => {
    const date = new Date((first + at) * DAY_S * 1000).toISOString().slice(0, 10);
    const own = rows.filter((row) => row.day === date);
    return { date, rows: own, tokens: own.reduce((sum, row) => sum + tokens(row), 0) };
  });
}
