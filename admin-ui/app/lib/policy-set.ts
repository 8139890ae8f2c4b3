// What may be said of a set of policies without asking the gateway: what changed, where an error stands, how to mend it.
import type { Diagnostic, PolicySet } from "./types.ts";

/** The file that holds a policy: `access#2` says it, one with an `@id` of its own is looked for. */
export function fileHolding(set: PolicySet, policy: string): string | undefined {
  const place = /^(.+)#\d+$/.exec(policy)?.[1];
  const holds = (text: string) => [...text.matchAll(/@id\(\s*"([^"]*)"\s*\)/g)].some((match) => match[1] === policy);
  return place ?? set.policies.find((file) => holds(file.text))?.name;
}

/** The name that the tests carry among the files, and in mistakes. */
export const TESTS = "tests.toml";

/** The file that a mistake stands in, whichever way the source is spelt: `policies/access.cedar`, `access`. */
export function sourceFile(source: string): string {
  const name = source.replace(/^.*\//, "");
  return name === "tests" || name.endsWith(".toml") ? TESTS : name.replace(/\.cedar$/, "");
}

export type Change = "added" | "changed" | "removed";

/** What a draft changes, by file; the tests count as one. */
export function changes(base: PolicySet, draft: PolicySet): Map<string, Change> {
  const found = new Map<string, Change>();
  const before = new Map(base.policies.map((file) => [file.name, file.text]));
  for (const file of draft.policies) {
    const text = before.get(file.name);
    if (text === undefined) found.set(file.name, "added");
    else if (text !== file.text) found.set(file.name, "changed");
  }
  const kept = new Set(draft.policies.map((file) => file.name));
  for (const name of before.keys()) if (!kept.has(name)) found.set(name, "removed");
  if (!sameTests(base, draft)) found.set(TESTS, "changed");
  return found;
}

function sameTests(a: PolicySet, b: PolicySet): boolean {
  return JSON.stringify(a.tests.map(filled)) === JSON.stringify(b.tests.map(filled));
}

/** A test without the facts that are not set, in one order. */
function filled(test: object): [string, unknown][] {
  const set = Object.entries(test).filter(([, value]) => value !== null && value !== undefined);
  return set.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** Carries a draft over to what is active now: untouched files follow, changed ones stay; `both` were changed twice. */
export function carryOver(base: PolicySet, draft: PolicySet, active: PolicySet): { set: PolicySet; both: string[] } {
  const mine = changes(base, draft);
  const theirs = changes(base, active);
  const text = (set: PolicySet, name: string) => set.policies.find((file) => file.name === name)?.text;
  const names = new Set([...draft.policies, ...active.policies].map((file) => file.name));
  const policies = [...names].toSorted().flatMap((name) => {
    const kept = text(mine.has(name) ? draft : active, name);
    return kept === undefined ? [] : [{ name, text: kept }];
  });
  const tests = mine.has(TESTS) ? draft.tests : active.tests;
  return { set: { policies, tests }, both: [...mine.keys()].filter((name) => theirs.has(name)) };
}

/** Where a mistake stands, in the editor's own counting. The gateway counts bytes, an editor UTF-16 units. */
export function range(text: string, found: Diagnostic): { from: number; to: number } {
  if (found.span) {
    const from = unitsAt(text, found.span[0]);
    const to = unitsAt(text, found.span[1]);
    return { from, to: Math.max(from, to) };
  }
  const lines = text.split("\n");
  const line = Math.min(Math.max(found.line ?? 1, 1), lines.length);
  const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  const before = [...(lines[line - 1] ?? "")].slice(0, Math.max((found.column ?? 1) - 1, 0)).join("").length;
  return { from: start + before, to: start + (lines[line - 1]?.length ?? 0) };
}

function unitsAt(text: string, bytes: number): number {
  let seen = 0;
  let at = 0;
  for (const letter of text) {
    if (seen >= bytes) break;
    const code = letter.codePointAt(0) ?? 0;
    seen += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    at += letter.length;
  }
  return at;
}

export interface Fix {
  from: number;
  to: number;
  insert: string;
}

/** The edit that the help offers: "did you mean `x`?" puts `x` where the mistaken word stands. */
export function fixFor(text: string, found: Diagnostic): Fix | null {
  const insert = /did you mean `([^`]+)`/.exec(found.help ?? "")?.[1];
  if (!insert) return null;
  const { from, to } = range(text, found);
  const words = [...found.message.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "").filter((word) => word !== insert);
  for (const word of words) {
    const fixes = places(text, word, from, to).map((at) => around(text, at, word, insert));
    // The place where most of what is offered stands already, such as `Group::"` before the name.
    const best = fixes.toSorted((a, b) => b.to - b.from - (a.to - a.from))[0];
    if (best) return best;
  }
  const marked = text.slice(from, to);
  return marked && !marked.includes("\n") && marked.length < 120 ? { from, to, insert } : null;
}

/** Where `word` stands by itself within the mark, not as a part of another. */
function places(text: string, word: string, from: number, to: number): number[] {
  const found: number[] = [];
  const letter = /\w/;
  for (let at = text.indexOf(word, from); at >= 0 && at + word.length <= to; at = text.indexOf(word, at + 1)) {
    const joined = letter.test(text.charAt(at - 1)) || letter.test(text.charAt(at + word.length));
    if (!joined) found.push(at);
  }
  return found;
}

/** Takes in what stands around the word already, so that it is not written twice. */
function around(text: string, at: number, word: string, insert: string): Fix {
  const end = at + word.length;
  let before = 0;
  let after = 0;
  for (let size = 1; size < insert.length; size++) {
    if (/\W$/.test(insert.slice(0, size)) && text.slice(0, at).endsWith(insert.slice(0, size))) before = size;
    if (/^\W/.test(insert.slice(-size)) && text.startsWith(insert.slice(-size), end)) after = size;
  }
  return { from: at - before, to: end + after, insert };
}
