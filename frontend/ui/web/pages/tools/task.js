// What each tool has: one thing that is done at a time, how long it took, and what went wrong.
import { useEffect, useRef, useState } from "../../lib/dom.js";
import { failed } from "../../lib/notices.js";

/** `{busy, took, run, stop}`: `run(act)` calls `act` with a signal; `took` are seconds. */
export function useTask() {
  const [busy, setBusy] = useState(false);
  const [took, setTook] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);

  async function run(act) {
    const { signal } = (running.current = new AbortController());
    const began = performance.now();
    setBusy(true);
    setTook(null);
    try {
      await act(signal);
      setTook((performance.now() - began) / 1000);
    } catch (error) {
      if (!signal.aborted) failed(error);
    }
    setBusy(false);
  }

  return { busy, took, run, stop: () => running.current?.abort() };
}

/** An address for something to be heard, until there is another or its page is left. */
export function useSound() {
  const [sound, setSound] = useState(null);
  useEffect(() => () => sound && URL.revokeObjectURL(sound), [sound]);
  return [sound, (blob) => setSound(blob && URL.createObjectURL(blob))];
}

/** The lines of a text that say something. */
export const linesOf = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
