// The page that is shown is named after the # in the address, with what it is about behind it.
import { useEffect, useState } from "./dom.js";

export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/");
  return { page: page || (location.pathname === "/docs" ? "api" : "overview"), rest: decoded(rest.join("/")), query: new URLSearchParams(query) };
}

// An address may come from anywhere, and be no address that this page has written.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function useRoute() {
  const [route, setRoute] = useState(here);
  useEffect(() => {
    const listener = () => setRoute(here());
    addEventListener("hashchange", listener);
    return () => removeEventListener("hashchange", listener);
  }, []);
  return route;
}

export const link = (page, rest = "") => `#/${page}${rest ? `/${encodeURIComponent(rest)}` : ""}`;
