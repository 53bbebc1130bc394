// A transcript's segments as subtitles: the forms that this server's API has too.

export const srt = (segments) => shown(segments)
  .map((one, at) => `${at + 1}\n${times(one, ",")}\n${line(one).replaceAll("-->", "->")}\n\n`).join("");

export const vtt = (segments) => `WEBVTT\n\n${shown(segments)
  .map((one) => `${times(one, ".")}\n${line(one).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")}\n\n`).join("")}`;

const shown = (segments) => segments.filter((one) => one.text.trim());
const line = (one) => one.text.trim().split(/\s+/).join(" ");
const times = (one, mark) => `${stamp(one.start, mark)} --> ${stamp(Math.max(one.end, one.start + 0.001), mark)}`;

/** 3723.4567 as 01:02:03,457, with `mark` before the milliseconds. */
export function stamp(seconds, mark) {
  const ms = Math.round(Math.max(0, seconds) * 1000);
  const digits = (number, many = 2) => String(Math.floor(number)).padStart(many, "0");
  return `${digits(ms / 3600000)}:${digits((ms / 60000) % 60)}:${digits((ms / 1000) % 60)}${mark}${digits(ms % 1000, 3)}`;
}
