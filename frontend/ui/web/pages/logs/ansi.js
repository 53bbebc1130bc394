// Lines as terminals show them: colours and weight as classes, all other control sequences left out.

const SEQUENCE = /\x1b\[([0-9;]*)([A-Za-z])|\x1b[^[]|[\x00-\x08\x0b-\x1f\x7f]/g;

/** `line` in pieces of {text, kind}: `kind` are classes, empty for plain text. */
export function pieces(line) {
  if (!line.includes("\x1b")) return [{ text: line.replace(SEQUENCE, ""), kind: "" }];
  const found = [];
  let from = 0, colour = "", bold = "";
  const take = (to) => to > from && found.push({ text: line.slice(from, to), kind: [colour, bold].filter(Boolean).join(" ") });
  for (const match of line.matchAll(SEQUENCE)) {
    take(match.index);
    from = match.index + match[0].length;
    if (match[2] !== "m") continue;
    for (const code of match[1].split(";").map(Number)) {
      if (code === 0) colour = bold = "";
      else if (code === 1) bold = "ansi-bold";
      else if (code === 39) colour = "";
      else if ((code >= 30 && code < 38) || (code >= 90 && code < 98)) colour = `ansi-${code % 10}`;
    }
  }
  take(line.length);
  return found;
}
