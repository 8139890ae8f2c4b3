// Codes of the gateway in words of the reader's work. An unknown code is shown as it is, with spaces.
import type { Entry, Verdict } from "./types.ts";

export const VERDICTS: Record<Verdict, string> = { allow: "Allowed", deny: "Denied", challenge: "Challenged" };

const NEEDS: Record<string, string> = {
  "sign-in": "sign in",
  fresh: "sign in once more, just now",
  "2": "show a second factor",
  "3": "use a passkey",
};

const ASSURANCE: Record<number, string> = {
  0: "not signed in",
  1: "one factor",
  2: "two factors",
  3: "hardware-bound passkey",
};

const FACTORS: Record<string, string> = {
  password: "Password",
  totp: "Authenticator app",
  passkey: "Passkey",
  recovery: "Recovery codes",
  email: "Code by e-mail",
  oidc: "Identity provider",
  linked: "Linked account",
};

/** The gateway's own surfaces; policies of the tenant do not see them. */
export const OWN_APPS: Record<string, string> = {
  "cardea-console": "Console",
  "cardea-portal": "Portal",
  "cardea-sign-in": "Sign-in pages",
  "cardea-machines": "Machines",
  "cardea-decisions": "Decisions",
};

const EVENTS: Record<string, string> = {
  request: "Request",
  "sign-in": "Signed in",
  "sign-in-refused": "Sign-in refused",
  "step-up": "Stepped up",
  "sign-out": "Signed out",
  "session-ended": "Session ended",
  "session-reuse": "Stale session used again",
  "user-invited": "User invited",
  "user-added": "User added",
  "users-import-begun": "Users import begun",
  "users-imported": "Users imported",
  "user-joined": "User joined",
  "identity-linked": "Provider account linked",
  "identity-unlinked": "Provider account unlinked",
  "user-suspended": "User suspended",
  "user-activated": "User activated",
  "user-reset": "User started over",
  "factor-link-made": "Link for another factor made",
  "factor-link-used": "Link for another factor used",
  "user-deleted": "User deleted",
  "groups-changed": "Groups changed",
  "attributes-changed": "Attributes changed",
  "factor-added": "Factor added",
  "factor-removed": "Factor removed",
  "factor-changed": "Factor changed",
  "factor-refused": "Factor refused",
  "recovery-used": "Recovery code used",
  "device-remembered": "Device remembered",
  "device-used": "Remembered device used",
  "device-forgotten": "Remembered devices forgotten",
  "mail-sent": "Letter sent",
  "mail-failed": "Letter not sent",
  "logout-untold": "App not told of a session's end",
  "policy-activated": "Policies activated",
  "policy-refused": "Policies refused",
  "resources-applied": "Resources applied",
  "certificate-issued": "Certificate issued",
  "certificate-renewed": "Certificate renewed",
  "certificate-refused": "Certificate refused",
  "token-made": "One-time token made",
  "token-revoked": "One-time token taken back",
  "key-rotated": "Key rotated",
  "tenant-behind": "Change not in force",
  "configuration-changed": "Configuration changed",
  "configuration-refused": "Configuration refused",
  "tenant-paused": "Access paused",
  "tenant-resumed": "Access resumed",
  "admin-change": "Administrative change",
  started: "Gateway started",
  stopped: "Gateway stopped",
};

export const EVENT_CODES = Object.keys(EVENTS);

export const REASON_CODES = [
  "denied",
  "sign-in-required",
  "step-up-required",
  "session-ended",
  "user-suspended",
  "factor-rejected",
  "factor-not-allowed",
  "word-too-weak",
  "link-required",
  "too-many-attempts",
  "code-spent",
  "provider-rejected",
  "not-a-member",
  "account-taken",
  "account-unlinked",
  "cross-site",
  "proxy-not-trusted",
  "bad-description",
  "unknown-parameter",
  "doubled-parameter",
  "ambiguous-path",
  "not-found",
  "policy-invalid",
  "conflict",
  "certificate-rejected",
  "certificate-ended",
  "enrolment-spent",
  "upstream-unreachable",
  "upstream-identity",
  "upstream-broken",
  "upstream-timeout",
  "timed-out",
  "client-gone",
  "internal",
];

function plain(code: string): string {
  const spaced = code.replaceAll("-", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

export const eventWord = (code: string): string => EVENTS[code] ?? plain(code);
export const reasonWord = (code: string): string => plain(code);
export const factorWord = (kind: string): string => FACTORS[kind] ?? plain(kind);
export const assuranceWord = (level: number): string => ASSURANCE[level] ?? `level ${level}`;
export const needWord = (need: string | number): string => NEEDS[String(need)] ?? plain(String(need));

/** `1 session`, `3 sessions`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** Who an entry names as its cause. */
export function actorName(entry: Entry): string {
  const actor = entry.actor;
  const words: Record<string, string> = { visitor: "Visitor", operator: "Operator", gateway: "Gateway" };
  return words[actor.kind] ?? actor.email ?? actor.name ?? actor.spiffe_id ?? actor.id ?? actor.kind;
}

/** What the filter calls the cause of an entry. */
export function actorLabel(entry: Entry): string {
  const { kind, id, spiffe_id } = entry.actor;
  const named = kind === "workload" ? spiffe_id : id;
  return named ? `${kind}:${named}` : kind;
}

/** What an entry is about, in one line. */
export function subject(entry: Entry): string {
  const event = entry.event;
  if (event.kind === "request") return `${event.method ?? ""} ${event.path ?? ""}`.trim();
  const user = typeof event.user === "object" ? event.user?.email : undefined;
  const certificate = event.certificate as { spiffe_id?: string } | undefined;
  const other = [certificate?.spiffe_id, event.email, event.note, event.detail, event.token_kind, event.purpose].find((fact) => typeof fact === "string" && fact);
  return user ?? (other as string | undefined) ?? "";
}
