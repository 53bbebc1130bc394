// Numbers as people read them.
import { language } from "./words.js";

export function bytes(count) {
  if (count == null) return "–";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let step = 0;
  while (count >= 1000 && step < units.length - 1) {
    count /= 1024;
    step += 1;
  }
  return `${decimal(count, count >= 100 || step === 0 ? 0 : 1)} ${units[step]}`;
}

export const megabytes = (count) => (count == null ? "–" : bytes(count * 2 ** 20));

export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${decimal(seconds, 1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${decimal(seconds / 3600, 1)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

export const count = (number) => (number == null ? "–" : decimal(number, 0));

/** With so many digits behind the point, as the page's language writes it. */
export const decimal = (number, digits) =>
  number.toLocaleString(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits });

export function rate(number) {
  if (number == null) return "–";
  return decimal(number, number >= 100 ? 0 : 1);
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

export const date = (seconds) => new Date(seconds * 1000).toLocaleDateString(language(), { day: "numeric", month: "short" });
