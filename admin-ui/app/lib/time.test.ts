import { expect, test } from "vitest";
import { exact, relative } from "./time.ts";

const NOW = Date.parse("2026-11-22T12:00:00Z");

test.each([
  ["2026-11-22T11:59:40Z", "just now"],
  ["2026-11-22T11:59:00Z", "1 minute ago"],
  ["2026-11-22T11:04:00Z", "1 hour ago"],
  ["2026-11-22T09:00:00Z", "3 hours ago"],
  ["2026-11-21T12:00:00Z", "yesterday"],
  ["2026-11-24T12:00:00Z", "in 2 days"],
  ["2025-11-22T12:00:00Z", "last year"],
  ["not a time", "not a time"],
])("%s is %s", (at, words) => expect(relative(at, NOW)).toBe(words));

test("the exact moment is in UTC, whatever offset it came with", () => {
  expect(exact("2026-11-22T13:24:20.123456+01:00")).toBe("2026-11-22 12:24:20 UTC");
});
