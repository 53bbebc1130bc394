// Asks again and again while somebody looks, and ends with the component.
import { failed } from "./notices.js";

/** For `useEffect`: calls `ask` each `ms` while the page is seen; says why it failed, once. */
export function every(ms, ask) {
  let timer, ended = false, told = "";
  async function turn() {
    if (!document.hidden) {
      try {
        await ask();
        told = "";
      } catch (error) {
        if (!ended && error.message !== told) failed(error);
        told = error.message;
      }
    }
    if (!ended) timer = setTimeout(turn, ms);
  }
  turn();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
