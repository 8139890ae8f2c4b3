// The one place that talks to the gateway. Every failure becomes a `Problem` that says what happened and what to do.
import { gate, proofUrl } from "./gate.svelte.ts";
import { sentence } from "./said.ts";
import type * as T from "./types.ts";

const BASE = "/api/v1";

/** What to do about it, where the gateway's own words leave that open. */
const WAYS_OUT: Record<string, string> = {
  "sign-in-required": "Sign in again. What you typed here stays.",
  "session-ended": "Sign in again. What you typed here stays.",
  "step-up-required": "Confirm that it is you, then try again.",
  denied: "Ask an administrator of this tenant for the right to do this.",
  conflict: "Load it again and repeat your change on what stands now.",
  "bad-input": "Mend what is named and send it again.",
  "policy-invalid": "Mend the errors and failing tests, then activate again.",
  "not-found": "It may have been removed. Go back to the list.",
  "too-many-attempts": "Wait a minute, then try again.",
  "cross-site": "Open the console at its own address and try again.",
  "store-unavailable": "Nothing was changed. Try again in a moment.",
  "log-unavailable": "Nothing was changed: the log could not be written. Tell the operator.",
  overloaded: "Try again in a moment.",
  "tenant-unavailable": "The tenant's latest settings cannot be used. Tell the operator.",
  unreachable: "Check your connection, then try again.",
};

/** An answer that is not the one asked for. */
export class Problem extends Error {
  readonly status: number;
  readonly reason: string;
  readonly requestId: string | undefined;
  readonly challenge: { need: string | number; url: string } | undefined;
  readonly diagnostics: T.Diagnostic[];
  readonly tests: T.TestOutcome[];

  constructor(status: number, body: T.ProblemBody, requestId?: string | null) {
    super(sentence(body.detail ?? body.title ?? `The gateway answered ${status}`));
    this.status = status;
    this.reason = body.reason ?? "internal";
    this.requestId = body.request_id ?? requestId ?? undefined;
    this.challenge = body.challenge;
    this.diagnostics = body.diagnostics ?? [];
    this.tests = body.tests ?? [];
  }

  /** What the reader can do now. */
  get wayOut(): string {
    return WAYS_OUT[this.reason] ?? (this.status >= 500 ? "Try again; if it stays, give the operator the request id." : "");
  }

  /** Whether signing in, or doing so more strongly, would mend it. */
  get wantsProof(): boolean {
    return ["sign-in-required", "session-ended", "step-up-required"].includes(this.reason);
  }
}

/** Any thrown thing as a problem to show. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  const lost = thrown instanceof TypeError;
  const title = lost ? "The gateway cannot be reached" : `Something went wrong here: ${String(thrown)}`;
  return new Problem(0, { title, reason: lost ? "unreachable" : "internal" });
}

async function once<R>(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<R> {
  const answer = await fetch(BASE + path, {
    method,
    headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
    body: body === undefined ? null : JSON.stringify(body),
    signal: signal ?? null,
    redirect: "manual",
  });
  const id = answer.headers.get("x-request-id");
  if (answer.type === "opaqueredirect") throw new Problem(401, { title: "Your session has ended", reason: "session-ended" }, id);
  const text = await answer.text();
  const json: unknown = text && /json/.test(answer.headers.get("content-type") ?? "") ? JSON.parse(text) : undefined;
  if (!answer.ok) throw new Problem(answer.status, (json ?? {}) as T.ProblemBody, id);
  return json as R;
}

/** Makes a call; one that wants proof of who asks waits for it and is made again. */
async function call<R>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<R> {
  for (;;) {
    try {
      return await once<R>(method, path, body, signal);
    } catch (thrown) {
      if (!(thrown instanceof Problem) || !thrown.wantsProof) throw thrown;
      // Reading changes nothing and no form is open yet: the browser may leave and come back to the same place.
      if (method === "GET" && thrown.reason === "step-up-required" && thrown.challenge) {
        location.assign(proofUrl(thrown, location.href));
        return await new Promise<never>(() => {});
      }
      if (!(await gate.pass(thrown))) throw thrown;
    }
  }
}

type Filter = Record<string, string | number | null | undefined>;

/** A query text of what is set. */
export function query(filter: Filter): string {
  const set = Object.entries(filter).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return set.length ? `?${new URLSearchParams(set.map(([key, value]) => [key, String(value)]))}` : "";
}

const at = encodeURIComponent;

export const api = {
  me: () => call<T.Me>("GET", "/me"),
  overview: () => call<T.Overview>("GET", "/overview"),

  users: (filter: Filter, signal?: AbortSignal) => call<T.Page<T.User>>("GET", `/users${query(filter)}`, undefined, signal),
  user: (id: string) => call<T.UserDetails>("GET", `/users/${at(id)}`),
  inviteUser: (user: { email: string; name: string; groups: string[] }) => call<T.Invited>("POST", "/users", user),
  inviteAgain: (id: string) => call<T.Invited>("POST", `/users/${at(id)}/invite`),
  suspend: (id: string) => call<void>("POST", `/users/${at(id)}/suspend`),
  resetUser: (id: string) => call<{ invitation_url: string }>("POST", `/users/${at(id)}/reset`),
  enrolUser: (id: string) => call<T.FactorLink>("POST", `/users/${at(id)}/enrol`),
  deleteUser: (id: string) => call<void>("DELETE", `/users/${at(id)}`),
  activateUser: (id: string) => call<void>("POST", `/users/${at(id)}/activate`),
  setGroups: (id: string, groups: string[]) => call<void>("PUT", `/users/${at(id)}/groups`, { groups }),
  unlinkAccount: (id: string, account: string) => call<void>("DELETE", `/users/${at(id)}/accounts/${at(account)}`),
  endSessions: (id: string) => call<void>("DELETE", `/users/${at(id)}/sessions`),
  endSession: (id: string, session: string) => call<void>("DELETE", `/users/${at(id)}/sessions/${at(session)}`),
  groups: async () => listed(await call<T.Group[] | T.Page<T.Group>>("GET", "/groups")),

  apps: async () => listed(await call<T.App[] | T.Page<T.App>>("GET", "/apps")),
  app: (id: string) => call<T.App>("GET", `/apps/${at(id)}`),
  tryUrl: (id: string, question: { method: string; path: string; as: string | null; assurance: number }) =>
    call<T.Explanation>("POST", `/apps/${at(id)}/try`, question),

  policies: async () => (await call<{ active: T.VersionedSet }>("GET", "/policies")).active,
  schema: async () => (await call<{ text: string }>("GET", "/policies/schema")).text,
  check: (set: T.PolicySet, signal?: AbortSignal) => call<T.Checked>("POST", "/policies/check", set, signal),
  activate: (set: T.PolicySet & { note: string; base_version: number }) =>
    call<{ version: number }>("POST", "/policies/activate", set),
  versions: (filter: Filter, signal?: AbortSignal) =>
    call<T.Page<T.Version>>("GET", `/policies/versions${query(filter)}`, undefined, signal),
  version: (version: number) => call<T.VersionedSet>("GET", `/policies/versions/${version}`),
  goBackTo: (version: number) => call<{ version: number }>("POST", `/policies/versions/${version}/activate`),

  log: (filter: Filter, signal?: AbortSignal) => call<T.Page<T.Entry>>("GET", `/log${query(filter)}`, undefined, signal),
  entry: (id: string) => call<T.LoggedDecision>("GET", `/log/${at(id)}`),
};

/** Lists that are short come whole, with or without the envelope of a page. */
function listed<I>(answer: I[] | { items: I[] }): I[] {
  return Array.isArray(answer) ? answer : answer.items;
}
