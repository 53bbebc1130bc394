// The page that is shown is named after the # in the address, with what it is about behind it.
import { useEffect, useState } from "./dom.js";

export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/");
  return { page: page || (location.pathname === "/docs" ? "api" : "overview"), rest: decodeURIComponent(rest.join("/")), query: new URLSearchParams(query) };
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
