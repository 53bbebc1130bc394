// What the page says, in the language of whoever reads it. English stands where it is said; another
// language is one file of ../words/ that has the same by the English words, and is loaded if chosen.

export const LANGUAGES = { en: "English", de: "Deutsch" };
const KEPT = "language";
let known = {};

/** That which was chosen, else the first of the browser's that is here. */
export function language() {
  const wanted = [localStorage.getItem(KEPT), ...navigator.languages.map((one) => one.slice(0, 2))];
  return wanted.find((one) => one in LANGUAGES) ?? "en";
}

/** Before anything is said. */
export async function loadWords() {
  const chosen = language();
  document.documentElement.lang = chosen;
  if (chosen !== "en") known = (await import(`../words/${chosen}.js`)).default;
}

/** Another language, from the page's next load on. */
export function speak(chosen) {
  localStorage.setItem(KEPT, chosen);
  location.reload();
}

/** For templates: "{} of {} wait" is what is looked up where two values stand in one, and its places
 * are filled in their order. */
export function t(parts, ...values) {
  const [first, ...rest] = (known[parts.join("{}")] ?? parts.join("{}")).split("{}");
  return rest.reduce((text, part, at) => text + values[at] + part, first);
}

/** Words that are known only as the page runs, such as a state's; as they are where nobody has them. */
export const said = (words) => known[words] ?? words;
