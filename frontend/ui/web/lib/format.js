// Numbers as people read them.

export function bytes(count) {
  if (count == null) return "–";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let step = 0;
  while (count >= 1000 && step < units.length - 1) {
    count /= 1024;
    step += 1;
  }
  return `${count >= 100 || step === 0 ? Math.round(count) : count.toFixed(1)} ${units[step]}`;
}

export const megabytes = (count) => (count == null ? "–" : bytes(count * 2 ** 20));

export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const count = (number) => (number == null ? "–" : Math.round(number).toLocaleString("en"));

export function rate(number) {
  if (number == null) return "–";
  return number >= 100 ? String(Math.round(number)) : number.toFixed(1);
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
