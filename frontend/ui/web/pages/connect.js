// How other programs find this server.
import { Copyable } from "../lib/copy.js";
import { html, useState } from "../lib/dom.js";
import { useLive } from "../lib/live.js";
import { able } from "../lib/models.js";

export default function Connect({ who }) {
  const { report } = useLive();
  const [chosen, setChosen] = useState("curl");
  const chat = able(report, "chat")[0]?.name ?? "MODEL";
  const embed = able(report, "embed")[0]?.name ?? "MODEL";
  const given = { base: `${location.origin}/v1`, root: location.origin, chat, embed, key: who.keys ? "YOUR-KEY" : "none" };
  return html`<div class="stack"><h1>Connect</h1>
    <section class="card"><dl class="facts">
      <dt>Base URL</dt><dd><code>${given.base}</code></dd>
      <dt>API key</dt><dd>${who.keys ? "one of this server's" : "none is needed; where a program insists, any text will do"}</dd>
      <dt>API</dt><dd>OpenAI's, Anthropic's and others, <a href="#/api">described here</a></dd></dl></section>
    <div class="row" role="tablist" aria-label="Programs">${Object.entries(CLIENTS).map(([id, client]) => html`<button key=${id} role="tab" id=${`tab-${id}`} aria-selected=${id === chosen} aria-controls="snippet"
        class=${id === chosen ? "main" : ""} onClick=${() => setChosen(id)}>${client.title}</button>`)}</div>
    <section id="snippet" role="tabpanel" aria-labelledby=${`tab-${chosen}`} class="card stack close">
      ${CLIENTS[chosen].words && html`<p>${CLIENTS[chosen].words}</p>`}<${Copyable} text=${CLIENTS[chosen].text(given)} /></section>
  </div>`;
}

const CLIENTS = {
  curl: { title: "curl", text: ({ base, chat, key }) => `curl ${base}/chat/completions \\\n  -H "authorization: Bearer ${key}" \\\n  -H "content-type: application/json" \\\n  -d '{"model": "${chat}", "messages": [{"role": "user", "content": "Hello"}]}'` },
  python: { title: "Python", text: ({ base, chat, key }) => `# pip install openai\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${base}", api_key="${key}")\nanswer = client.chat.completions.create(\n    model="${chat}",\n    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(answer.choices[0].message.content)` },
  javascript: { title: "JavaScript", text: ({ base, chat, key }) => `// npm install openai\nimport OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${base}", apiKey: "${key}" });\nconst answer = await client.chat.completions.create({\n  model: "${chat}",\n  messages: [{ role: "user", content: "Hello" }],\n});\nconsole.log(answer.choices[0].message.content);` },
  anthropic: { title: "Anthropic", text: ({ root, chat, key }) => `# pip install anthropic\nfrom anthropic import Anthropic\n\nclient = Anthropic(base_url="${root}", api_key="${key}")\nmessage = client.messages.create(\n    model="${chat}",\n    max_tokens=512,\n    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(message.content[0].text)` },
  claude: { title: "Claude Code", words: "It needs a model that is good with tools and a long context.", text: ({ root, chat, key }) => `ANTHROPIC_BASE_URL=${root} \\\nANTHROPIC_AUTH_TOKEN=${key} \\\nANTHROPIC_MODEL=${chat} \\\nANTHROPIC_SMALL_FAST_MODEL=${chat} \\\nclaude` },
  codex: { title: "Codex", words: "In ~/.codex/config.toml:", text: ({ base, chat }) => `model = "${chat}"\nmodel_provider = "edge-serve"\n\n[model_providers.edge-serve]\nname = "edge-serve"\nbase_url = "${base}"\nwire_api = "responses"` },
  openwebui: { title: "Open WebUI", words: "Its admin settings have the same under Connections.", text: ({ base, key }) => `docker run -p 3000:8080 \\\n  -e OPENAI_API_BASE_URL=${base} \\\n  -e OPENAI_API_KEY=${key} \\\n  ghcr.io/open-webui/open-webui:main` },
  continue: { title: "Continue", words: "In ~/.continue/config.yaml:", text: ({ base, chat, embed, key }) => `name: edge-serve\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: ${chat}\n    provider: openai\n    model: ${chat}\n    apiBase: ${base}\n    apiKey: ${key}\n    roles: [chat, edit]\n  - name: ${embed}\n    provider: openai\n    model: ${embed}\n    apiBase: ${base}\n    apiKey: ${key}\n    roles: [embed]` },
  aider: { title: "aider", text: ({ base, chat, key }) => `OPENAI_API_BASE=${base} OPENAI_API_KEY=${key} \\\n  aider --model openai/${chat}` },
  langchain: { title: "LangChain", text: ({ base, chat, key }) => `# pip install langchain-openai\nfrom langchain_openai import ChatOpenAI\n\nmodel = ChatOpenAI(model="${chat}", base_url="${base}", api_key="${key}")\nprint(model.invoke("Hello").content)` },
  llamaindex: { title: "LlamaIndex", text: ({ base, chat, key }) => `# pip install llama-index-llms-openai-like\nfrom llama_index.llms.openai_like import OpenAILike\n\nmodel = OpenAILike(\n    model="${chat}", api_base="${base}", api_key="${key}", is_chat_model=True\n)\nprint(model.complete("Hello"))` },
  homeassistant: { title: "Home Assistant", words: "Its Ollama integration, with a server that was started with OLLAMA_PORT=11434:", text: () => `Settings → Devices & services → Add integration → Ollama\nURL: http://${location.hostname}:11434` },
};
