import { expect, test } from "vitest";
import { diffCount, diffLines, hunks } from "./diff.ts";

const shown = (before: string, after: string) => diffLines(before, after).map((line) => `${{ same: " ", added: "+", removed: "-" }[line.kind]}${line.text}`);

test.each([
  ["a\nb\nc\n", "a\nx\nc\n", [" a", "-b", "+x", " c"]],
  ["", "a\nb", ["+a", "+b"]],
  ["a\nb", "", ["-a", "-b"]],
  ["same\n", "same\n", [" same"]],
  ["a\r\nb\r\n", "a\nb\n", [" a", " b"]],
  ["a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n", null],
])("a change from %j to %j", (before, after, lines) => {
  const diff = diffLines(before, after);
  if (lines) expect(shown(before, after)).toEqual(lines);
  // Whatever it shows, both texts can be read off it.
  const side = (drop: string) => diff.filter((line) => line.kind !== drop).map((line) => line.text);
  expect(side("added").join("\n")).toBe(before.replaceAll("\r", "").replace(/\n$/, ""));
  expect(side("removed").join("\n")).toBe(after.replaceAll("\r", "").replace(/\n$/, ""));
});

test("lines carry their numbers on both sides", () => {
  const diff = diffLines("a\nb\nc", "a\nc\nd");
  expect(diff.map((line) => [line.before, line.after])).toEqual([[1, 1], [2, null], [3, 2], [null, 3]]);
  expect(diffCount(diff)).toEqual({ added: 1, removed: 1 });
});

test("unchanged stretches are left out, with one mark each", () => {
  const text = Array.from({ length: 40 }, (_, n) => `line ${n}`);
  const now = text.with(5, "x").with(30, "y");
  const shown = hunks(diffLines(text.join("\n"), now.join("\n")), 2);
  expect(shown.filter((line) => line === null)).toHaveLength(3);
  expect(shown.filter((line) => line)).toHaveLength(12);
});

test("texts without anything in common end in bounded time", () => {
  const a = Array.from({ length: 4000 }, (_, n) => `a${n}`).join("\n");
  expect(diffCount(diffLines(a, a.replaceAll("a", "b")))).toEqual({ added: 4000, removed: 4000 });
});
