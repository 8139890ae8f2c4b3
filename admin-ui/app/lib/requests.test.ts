import { expect, test } from "vitest";
import { isAdmission, onePerRequest, requestId } from "./requests.ts";
import type { Entry } from "./types.ts";

const entry = (id: string, detail: string | null = null, kind = "request"): Entry => ({
  id,
  at: "2026-11-22T12:00:00Z",
  actor: { kind: "visitor" },
  session: null,
  client: null,
  event: { kind, detail },
});

const admitted = entry("a", "admitted; written before it was forwarded");
const ended = entry("b", "ends request a");

test("a request that was admitted and has ended is one line, under the id that its service knows", () => {
  const lines = onePerRequest([entry("c"), ended, admitted]);
  expect(lines.map((line) => [line.id, requestId(line)])).toEqual([
    ["c", "c"],
    ["b", "a"],
  ]);
});

test("a request under way is a line, and so is an end whose beginning is on a later page", () => {
  expect(onePerRequest([admitted]).map((line) => [requestId(line), isAdmission(line)])).toEqual([["a", true]]);
  expect(onePerRequest([ended]).map((line) => [requestId(line), isAdmission(line)])).toEqual([["a", false]]);
});

test("what only speaks like one is none", () => {
  const spoken = [entry("d", "ends request a", "policy-refused"), entry("e", admitted.event.detail, "policy-refused"), admitted];
  expect(onePerRequest(spoken)).toEqual(spoken);
  expect(spoken.map(isAdmission)).toEqual([false, false, true]);
});
