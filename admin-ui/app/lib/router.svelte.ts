// Where we are, from the address alone: each state of the console has one, and the back button works.

const BASE = "/admin/";

class Place {
  /** The segments below `/admin/`, decoded. */
  segments = $state<string[]>([]);
  /** What is filtered or opened. */
  query = $state(new URLSearchParams());

  constructor() {
    this.read();
  }

  read(): void {
    const below = location.pathname.startsWith(BASE) ? location.pathname.slice(BASE.length) : "";
    this.segments = below.split("/").filter(Boolean).map(decoded);
    this.query = new URLSearchParams(location.search);
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export const place = new Place();

type Change = Record<string, string | number | null | undefined>;

function withChange(change: Change, from: URLSearchParams): string {
  const query = new URLSearchParams(from);
  for (const [key, value] of Object.entries(change)) {
    if (value === null || value === undefined || value === "") query.delete(key);
    else query.set(key, String(value));
  }
  query.sort();
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** The address of a place: segments, then what to put in the query. */
export function to(segments: (string | number)[], change: Change = {}): string {
  return BASE + segments.map((part) => encodeURIComponent(part)).join("/") + withChange(change, new URLSearchParams());
}

/** The same, keeping the filters that are set now. */
export function toKeeping(segments: (string | number)[], change: Change = {}): string {
  return BASE + segments.map((part) => encodeURIComponent(part)).join("/") + withChange(change, place.query);
}

/** Opens a place; `replace` for what should not become a step of its own, such as each letter of a search. */
export function go(address: string, replace = false): void {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  place.read();
}

/** Changes only what is filtered. */
export function filter(change: Change, replace = false): void {
  go(location.pathname + withChange(change, place.query), replace);
}

/** Follows the browser's buttons and every plain click on a link of ours. */
export function follow(): () => void {
  const back = () => place.read();
  const click = (event: MouseEvent) => {
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    const link = plain && !event.defaultPrevented ? (event.target as Element).closest?.("a[href]") : null;
    if (!(link instanceof HTMLAnchorElement) || link.target || link.origin !== location.origin) return;
    if (!link.pathname.startsWith(BASE)) return;
    event.preventDefault();
    go(link.pathname + link.search);
  };
  addEventListener("popstate", back);
  document.addEventListener("click", click);
  return () => {
    removeEventListener("popstate", back);
    document.removeEventListener("click", click);
  };
}
