// A line over the last minutes, drawn as SVG: two of them need no library.
import { html } from "./dom.js";

const WIDTH = 300, HEIGHT = 56;

export function Spark({ values, top, label, fill = "c1" }) {
  const known = values.filter((one) => one != null);
  const most = top ?? Math.max(1, ...known);
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.map((one, at) =>
    `${(at * step).toFixed(1)},${(HEIGHT - 2 - (HEIGHT - 4) * Math.min(1, (one ?? 0) / most)).toFixed(1)}`);
  return html`<svg class="spark" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${label}>
    <polygon class=${`area ${fill}`} points=${`0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`} />
    <polyline class=${`line ${fill}`} points=${points.join(" ")} />
  </svg>`;
}
