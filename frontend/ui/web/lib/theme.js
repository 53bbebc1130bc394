// Light, dark, or as the system says.
const NEXT = { auto: "light", light: "dark", dark: "auto" };

export const theme = () => localStorage.getItem("theme") ?? "auto";

export function nextTheme() {
  const next = NEXT[theme()];
  localStorage.setItem("theme", next);
  apply();
  return next;
}

function apply() {
  document.documentElement.dataset.theme = theme();
}

apply();
