// The routes of this server, as its own OpenAPI document describes them.
import { get } from "../lib/api.js";
import { Copyable } from "../lib/copy.js";
import { html, useEffect, useState } from "../lib/dom.js";
import { curl } from "../lib/snippets.js";
import { t } from "../lib/words.js";

const DEEPEST = 4;

export default function Api({ who }) {
  const [document, setDocument] = useState(null);
  const [error, setError] = useState(null);
  const [search, setSearch] = useState("");
  useEffect(() => void get("/openapi.json").then(setDocument, setError), []);
  if (error) return html`<h1>API</h1><p class="error">${error.message}</p>`;
  if (!document) return html`<h1>API</h1><p class="quiet">…</p>`;
  const words = search.toLowerCase();
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })));
  const shown = operations.filter((one) => `${one.method} ${one.path} ${one.summary}`.toLowerCase().includes(words));
  return html`<div class="stack"><div class="row apart"><h1>API</h1>
      <div class="row"><label class="sr" for="find">${t`Only routes with`}</label><input id="find" type="search" placeholder=${t`Only routes with…`} value=${search} onInput=${(event) => setSearch(event.target.value)} />
        <a href="/openapi.json">openapi.json</a></div></div>
    <div class="stack close">${shown.map((one) => html`<${Operation} key=${one.operationId} one=${one} schemas=${document.components.schemas} keys=${who.keys} />`)}</div>
    ${!shown.length && html`<p class="empty">${t`No route is like that.`}</p>`}</div>`;
}

function Operation({ one, schemas, keys }) {
  const [open, setOpen] = useState(false);
  return html`<details class="card operation" onToggle=${(event) => setOpen(event.target.open)}>
    <summary><span class="tag">${one.method}</span> <code>${one.path}</code> <span class="quiet">${one.summary}</span></summary>
    ${open && html`<${Details} one=${one} schemas=${schemas} keys=${keys} />`}</details>`;
}

function Details({ one, schemas, keys }) {
  const [media, content] = Object.entries(one.requestBody?.content ?? {})[0] ?? [];
  return html`<div class="stack close">
    ${one.parameters?.length > 0 && html`<h2>${t`In the address`}</h2><${Fields} fields=${one.parameters.map((each) => [each.name, each.schema, each.required])} schemas=${schemas} />`}
    ${content && html`<h2>${t`Body`} <span class="quiet small">${media}</span></h2><${Shape} schema=${content.schema} schemas=${schemas} />`}
    ${content?.example && html`<${Copyable} text=${curl(one.path, content.example, keys)} />`}
    <h2>${t`Answers`}</h2><ul>${Object.entries(one.responses).map(([status, told]) => html`<li key=${status}><strong>${status}</strong> ${told.description}${kinds(told) && html` <span class="quiet">${kinds(told)}</span>`}</li>`)}</ul></div>`;
}

const kinds = (told) => Object.keys(told.content ?? {}).join(", ");

function Shape({ schema, schemas }) {
  const whole = resolved(schema, schemas);
  const shapes = whole.anyOf?.filter((one) => resolved(one, schemas).properties) ?? [];
  if (!whole.properties && shapes.length) return shapes.map((one, at) => html`<div key=${at}>${at > 0 && html`<p class="quiet">${t`or`}</p>`}<${Shape} schema=${one} schemas=${schemas} /></div>`);
  const required = new Set(whole.required ?? []);
  const fields = Object.entries(whole.properties ?? {}).map(([name, one]) => [name, one, required.has(name)]);
  fields.sort((a, b) => b[2] - a[2]);
  return html`<${Fields} fields=${fields} schemas=${schemas} />`;
}

function Fields({ fields, schemas }) {
  const words = ([, schema]) => schema.description ?? resolved(schema, schemas).description;
  const told = fields.some(words);
  return html`<div class="table"><table><thead><tr><th>${t`Name`}</th><th>${t`Holds`}</th>${told && html`<th>${t`What it is`}</th>`}</tr></thead><tbody>
    ${fields.map(([name, schema, required]) => html`<tr key=${name}><td><code>${name}</code>${required ? html` <strong class="small">${t`required`}</strong>` : ""}</td>
      <td>${holds(schema, schemas)}</td>${told && html`<td>${words([name, schema]) ?? ""}</td>`}</tr>`)}</tbody></table></div>`;
}

const resolved = (schema, schemas) => (schema.$ref ? schemas[schema.$ref.split("/").at(-1)] ?? {} : schema);

/** What fits a schema, in words. */
function holds(schema, schemas, depth = 0) {
  const one = resolved(schema, schemas);
  if (depth > DEEPEST) return "…";
  if (one.enum) return one.enum.map((value) => JSON.stringify(value)).join(", ");
  if ("const" in one) return JSON.stringify(one.const);
  const choices = one.anyOf ?? one.oneOf;
  if (choices) return [...new Set(choices.map((each) => holds(each, schemas, depth + 1)))].join(" or ");
  if (one.type === "array") return `list of ${one.items ? holds(one.items, schemas, depth + 1) : "anything"}`;
  const limits = [["minimum", "at least"], ["maximum", "at most"], ["maxLength", "at most", "characters"], ["maxItems", "at most", "items"]]
    .filter(([key]) => one[key] !== undefined).map(([key, words, unit = ""]) => `${words} ${one[key]} ${unit}`.trim());
  const kind = Array.isArray(one.type) ? one.type.join(" or ") : one.type ?? (one.properties ? "object" : "anything");
  return limits.length ? `${kind}, ${limits.join(", ")}` : kind;
}
