// Asks again and again while somebody looks: not while the page is hidden, and ever less often while
// nobody answers.
import { failed } from "./notices.js";

const MOST_MS = 30000;

/** Calls `ask` with a signal, and `everyMs` after it has ended again, until `end` is called. What it
 * throws goes to `onError`, once for each message; then the wait doubles. `now` asks at once. */
export function repeat(everyMs, ask, onError = failed) {
  let timer = null, running = null, wait = everyMs, told = "", ended = false;

  async function turn() {
    const mine = (running = new AbortController());
    try {
      await ask(mine.signal);
      wait = everyMs;
      told = "";
    } catch (error) {
      if (mine.signal.aborted) return;
      wait = Math.min(2 * wait, MOST_MS);
      if (error.message !== told) onError(error);
      told = error.message;
    }
    if (!mine.signal.aborted) timer = setTimeout(turn, wait);
  }

  function pause() {
    clearTimeout(timer);
    running?.abort();
  }

  function now() {
    pause();
    return ended || document.hidden ? undefined : turn();
  }

  const look = () => (document.hidden ? pause() : now());
  document.addEventListener("visibilitychange", look);
  now();
  return {
    now,
    end() {
      ended = true;
      document.removeEventListener("visibilitychange", look);
      pause();
    },
  };
}

/** The same for `useEffect`. */
export const every = (everyMs, ask) => repeat(everyMs, ask).end;
