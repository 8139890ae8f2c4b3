import { expect, test } from "vitest";
import { carryOver, changes, fileHolding, fixFor, range, sourceFile, TESTS } from "./policy-set.ts";
import type { Diagnostic, PolicySet } from "./types.ts";

const set = (files: Record<string, string>, tests: string[] = []): PolicySet => ({
  policies: Object.entries(files).map(([name, text]) => ({ name, text })),
  tests: tests.map((name) => ({ name, app: "records", request: "GET /", expect: "allow" })),
});
const found = (part: Partial<Diagnostic>): Diagnostic => ({ source: "x", line: null, column: null, span: null, message: "", help: null, ...part });

test("a source names its file however it is spelt", () => {
  expect(["access", "access.cedar", "tenants/a/policies/access.cedar"].map(sourceFile)).toEqual(["access", "access", "access"]);
  expect(["tests", "tests.toml", "policies/tests.toml"].map(sourceFile)).toEqual([TESTS, TESTS, TESTS]);
});

test("a policy is found by its place or by its own name", () => {
  const all = set({ a: '@id("read")\npermit (principal, action, resource);', b: '@id( "write" ) forbid (principal, action, resource);' });
  expect(["a#12", "read", "write", "wri"].map((id) => fileHolding(all, id))).toEqual(["a", "a", "b", undefined]);
});

test("a draft says what it adds, changes and removes", () => {
  const base = set({ a: "1", b: "2", c: "3" }, ["t"]);
  expect([...changes(base, set({ a: "1", b: "x", d: "4" }, ["t", "u"]))]).toEqual([["b", "changed"], ["d", "added"], ["c", "removed"], [TESTS, "changed"]]);
  expect(changes(base, base).size).toBe(0);
});

test("a test with an unset fact written out is unchanged", () => {
  const base = set({}, ["t"]);
  const draft = { ...base, tests: base.tests.map(({ expect, ...one }) => ({ expect, ...one, caller: null })) };
  expect(changes(base, draft).size).toBe(0);
});

test("a draft follows what became active, and names what both changed", () => {
  const base = set({ a: "1", b: "2", c: "3" });
  const draft = set({ a: "mine", b: "2", n: "new" });
  const active = set({ a: "theirs", b: "theirs", c: "3" });
  expect(carryOver(base, draft, active)).toEqual({ set: set({ a: "mine", b: "theirs", n: "new" }), both: ["a"] });
});

test("bytes become the editor's units", () => {
  const text = "é🔒 x";
  expect(range(text, found({ span: [7, 8] }))).toEqual({ from: 4, to: 5 });
  expect(range("one\ntwo", found({ line: 2, column: 2 }))).toEqual({ from: 5, to: 7 });
  expect(range("one", found({ line: 9 }))).toEqual({ from: 0, to: 3 });
});

test.each([
  ['principal in Group::"chemist"', "there is no group `chemist`", "did you mean `chemists`?", 'principal in Group::"chemists"'],
  ['resource in App::"record"', "there is no app `record`", 'did you mean `App::"records"`?', 'resource in App::"records"'],
  ["when { context.assurnce >= 2 }", "the context has no attribute `assurnce`", "did you mean `context.assurance`?", "when { context.assurance >= 2 }"],
  ['// GETT it\npermit (principal, action == Action::"GETT", resource);', "there is no action `GETT`", 'did you mean `Action::"GET"`?', '// GETT it\npermit (principal, action == Action::"GET", resource);'],
  ["resource is Recrd", "there is no type `Recrd`", "did you mean `Record`?", "resource is Record"],
  ["userId(user)", "there is no type `user`", "did you mean `User`?", "userId(User)"],
])("a slip in %s is mended where it stands", (text, message, help, mended) => {
  const fix = fixFor(text, found({ span: [0, text.length], message, help }));
  expect(fix && text.slice(0, fix.from) + fix.insert + text.slice(fix.to)).toBe(mended);
});

test("help without an offer, or with no place for it, mends nothing", () => {
  expect(fixFor("permit", found({ span: [0, 6], message: "no", help: "ask the operator" }))).toBeNull();
  expect(fixFor("a\nb", found({ span: [0, 3], message: "there is no `c`", help: "did you mean `d`?" }))).toBeNull();
});
