// A request to an app with `audit = "before"` has two entries: one that admitted it, on disk before the service heard of
// it, and one of its end, which names the first. A reader sees one request.
import type { Entry } from "./types.ts";

const ADMITTED = "admitted; written before it was forwarded";
const ENDS = "ends request ";

/** Whether the entry admitted a request, and leaves its end to another. */
export const isAdmission = ({ event }: Entry): boolean => event.kind === "request" && event.detail === ADMITTED;

/** Whether the entry is the end of a request that another admitted. */
export const isEnd = ({ event }: Entry): boolean => event.kind === "request" && (event.detail?.startsWith(ENDS) ?? false);

/** The id by which the service and the person know the request. */
export const requestId = (entry: Entry): string => (isEnd(entry) ? (entry.event.detail ?? "").slice(ENDS.length) : entry.id);

/** One entry for each request: the end, where it is there. */
export function onePerRequest(entries: Entry[]): Entry[] {
  const ended = new Set(entries.filter(isEnd).map(requestId));
  return entries.filter((entry) => isEnd(entry) || !ended.has(entry.id));
}
