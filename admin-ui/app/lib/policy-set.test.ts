import { expect, test } from "vitest";
import { carryOver, changes, fileOf, fixFor, range, sourceFile, TESTS } from "./policy-set.ts";
import type { Diagnostic, PolicySet } from "./types.ts";

const set = (files: Record<string, string>, tests: string[] = []): PolicySet => ({
  policies: Object.entries(files).map(([name, text]) => ({ name, text })),
  tests: tests.map((name) => ({ name, app: "records", request: "GET /", expect: "allow" })),
});
const found = (part: Partial<Diagnostic>): Diagnostic => ({ source: "x", line: null, column: null, span: null, message: "", help: null, ...part });

test("a source names its file however it is spelt", () => {
  expect(["access", "access.cedar", "tenants/a/policies/access.cedar"].map(sourceFile)).toEqual(["access", "access", "access"]);
  expect(["tests", "tests.toml", "policies/tests.toml"].map(sourceFile)).toEqual([TESTS, TESTS, TESTS]);
  expect([fileOf("access#12"), fileOf("access")]).toEqual(["access", "access"]);
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

test("a slip is mended where it stands, and only there", () => {
  const text = 'principal in Group::"chemist"';
  const slip = found({ span: [13, 29], message: "there is no group `chemist`", help: "did you mean `chemists`?" });
  expect(fixFor(text, slip)).toEqual({ from: 21, to: 28, insert: "chemists" });
  expect(fixFor(text, { ...slip, help: "ask the operator" })).toBeNull();
  expect(fixFor(text, { ...slip, span: null })).toEqual({ from: 21, to: 28, insert: "chemists" });
});
