// How other programs find this server.
import { Copy, Copyable } from "../lib/copy.js";
import { html, useEffect, useRef, useState } from "../lib/dom.js";
import { useLive } from "../lib/live.js";
import { able } from "../lib/models.js";
import { t } from "../lib/words.js";

export default function Connect({ who }) {
  const { report } = useLive();
  const [chosen, setChosen] = useState("curl");
  const chat = able(report, "chat")[0]?.name ?? "MODEL";
  const embed = able(report, "embed")[0]?.name ?? "MODEL";
  const given = { base: `${location.origin}/v1`, root: location.origin, chat, embed, key: who.keys ? "YOUR-KEY" : "none" };
  const client = CLIENTS[chosen];
  return html`<div class="stack"><h1>${t`Connect`}</h1>
    <div class="grid wide-first"><section class="card"><h2>${t`What every program needs`}</h2><dl class="facts roomy">
      <dt>${t`Base URL`}</dt><dd class="row tight"><code>${given.base}</code><${Copy} text=${given.base} kind="plain" /></dd>
      <dt>${t`API key`}</dt><dd>${who.keys ? t`one of this server's` : t`none is needed; where a program insists, any text will do`}</dd>
      <dt>${t`Model`}</dt><dd class="row tight"><code>${chat}</code><${Copy} text=${chat} kind="plain" /></dd>
      <dt>API</dt><dd>${t`OpenAI's, Anthropic's and others`}, <a href="#/api">${t`described here`}</a></dd></dl></section>
      <${Phone} /></div>
    <${Tabs} chosen=${chosen} onChoose=${setChosen} />
    <section id="snippet" role="tabpanel" aria-labelledby=${`tab-${chosen}`} class="card stack close">
      ${client.words && html`<p>${client.words()}</p>`}<${Copyable} text=${client.text(given)} /></section>
  </div>`;
}

/** Arrows go from one to the next, as tabs are operated everywhere. */
function Tabs({ chosen, onChoose }) {
  const place = useRef(null);
  const names = Object.keys(CLIENTS);
  function onKeyDown(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -names.indexOf(chosen), End: names.length - 1 - names.indexOf(chosen) };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = names[(names.indexOf(chosen) + steps[event.key] + names.length) % names.length];
    onChoose(next);
    place.current.querySelector(`#tab-${next}`).focus();
  }
  return html`<div class="row tight" role="tablist" aria-label=${t`Programs`} ref=${place} onKeyDown=${onKeyDown}>
    ${names.map((id) => html`<button key=${id} role="tab" id=${`tab-${id}`} aria-selected=${id === chosen} aria-controls="snippet"
      tabindex=${id === chosen ? 0 : -1} onClick=${() => onChoose(id)}>${CLIENTS[id].title}</button>`)}</div>`;
}

const isLoopback = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

/** This page's address, for a phone's camera. */
function Phone() {
  const [code, setCode] = useState(null);
  useEffect(() => {
    if (!isLoopback) import("../vendor/qr.js").then(({ generate }) => setCode(generate(location.origin)));
  }, []);
  return html`<section class="card"><h2>${t`On a phone`}</h2>
    ${isLoopback
      ? html`<p class="quiet">${t`This address is known on this machine alone. Open the page by the machine's name or address in the network, and a code for a phone's camera is here.`}</p>`
      : code && html`<svg class="qr" viewBox=${`-2 -2 ${code.size + 4} ${code.size + 4}`} role="img" aria-label=${t`A code for ${location.origin}`}><path d=${squares(code)} /></svg>`}</section>`;
}

function squares({ size, get }) {
  const places = Array.from({ length: size * size }, (_, at) => [at % size, Math.floor(at / size)]);
  return places.map(([x, y]) => (get(x, y) ? `M${x} ${y}h1v1h-1z` : "")).join("");
}

const CLIENTS = {
  curl: { title: "curl", text: ({ base, chat, key }) => `curl ${base}/chat/completions \\\n  -H "authorization: Bearer ${key}" \\\n  -H "content-type: application/json" \\\n  -d '{"model": "${chat}", "messages": [{"role": "user", "content": "Hello"}]}'` },
  python: { title: "Python", text: ({ base, chat, key }) => `# pip install openai\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${base}", api_key="${key}")\nanswer = client.chat.completions.create(\n    model="${chat}",\n    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(answer.choices[0].message.content)` },
  javascript: { title: "JavaScript", text: ({ base, chat, key }) => `// npm install openai\nimport OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${base}", apiKey: "${key}" });\nconst answer = await client.chat.completions.create({\n  model: "${chat}",\n  messages: [{ role: "user", content: "Hello" }],\n});\nconsole.log(answer.choices[0].message.content);` },
  anthropic: { title: "Anthropic", text: ({ root, chat, key }) => `# pip install anthropic\nfrom anthropic import Anthropic\n\nclient = Anthropic(base_url="${root}", api_key="${key}")\nmessage = client.messages.create(\n    model="${chat}",\n    max_tokens=512,\n    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(message.content[0].text)` },
  claude: { title: "Claude Code", words: () => t`It needs a model that is good with tools and a long context.`, text: ({ root, chat, key }) => `ANTHROPIC_BASE_URL=${root} \\\nANTHROPIC_AUTH_TOKEN=${key} \\\nANTHROPIC_MODEL=${chat} \\\nANTHROPIC_SMALL_FAST_MODEL=${chat} \\\nclaude` },
  codex: { title: "Codex", words: () => t`In ${"~/.codex/config.toml"}:`, text: ({ base, chat }) => `model = "${chat}"\nmodel_provider = "edge-serve"\n\n[model_providers.edge-serve]\nname = "edge-serve"\nbase_url = "${base}"\nwire_api = "responses"` },
  openwebui: { title: "Open WebUI", words: () => t`Its admin settings have the same under Connections.`, text: ({ base, key }) => `docker run -p 3000:8080 \\\n  -e OPENAI_API_BASE_URL=${base} \\\n  -e OPENAI_API_KEY=${key} \\\n  ghcr.io/open-webui/open-webui:main` },
  continue: { title: "Continue", words: () => t`In ${"~/.continue/config.yaml"}:`, text: ({ base, chat, embed, key }) => `name: edge-serve\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: ${chat}\n    provider: openai\n    model: ${chat}\n    apiBase: ${base}\n    apiKey: ${key}\n    roles: [chat, edit]\n  - name: ${embed}\n    provider: openai\n    model: ${embed}\n    apiBase: ${base}\n    apiKey: ${key}\n    roles: [embed]` },
  aider: { title: "aider", text: ({ base, chat, key }) => `OPENAI_API_BASE=${base} OPENAI_API_KEY=${key} \\\n  aider --model openai/${chat}` },
  langchain: { title: "LangChain", text: ({ base, chat, key }) => `# pip install langchain-openai\nfrom langchain_openai import ChatOpenAI\n\nmodel = ChatOpenAI(model="${chat}", base_url="${base}", api_key="${key}")\nprint(model.invoke("Hello").content)` },
  llamaindex: { title: "LlamaIndex", text: ({ base, chat, key }) => `# pip install llama-index-llms-openai-like\nfrom llama_index.llms.openai_like import OpenAILike\n\nmodel = OpenAILike(\n    model="${chat}", api_base="${base}", api_key="${key}", is_chat_model=True\n)\nprint(model.complete("Hello"))` },
  homeassistant: { title: "Home Assistant", words: () => t`Its Ollama integration, with a server that was started with OLLAMA_PORT=11434:`, text: () => `Settings → Devices & services → Add integration → Ollama\nURL: http://${location.hostname}:11434` },
};
