import { expect, test } from "vitest";
import { Paged } from "./paging.svelte.ts";

const page = (items: number[], next: string | null = null) => Promise.resolve({ items, next });

test("pages follow each other until there is none", async () => {
  const list = new Paged<number>();
  await list.ask((cursor) => (cursor === "b" ? page([3]) : page([1, 2], "b")));
  expect([list.items, list.next, list.ready]).toEqual([[1, 2], "b", true]);
  await list.more();
  await list.more();
  expect([list.items, list.next]).toEqual([[1, 2, 3], null]);
});

test("an answer that was overtaken changes nothing", async () => {
  const list = new Paged<number>();
  let late: (page: { items: number[]; next: null }) => void = () => {};
  const first = list.ask(() => new Promise((resolve) => (late = resolve)));
  await list.ask(() => page([2]));
  late({ items: [1], next: null });
  await first;
  expect(list.items).toEqual([2]);
});

test("a failed page leaves what is in sight, and says so", async () => {
  const list = new Paged<number>();
  await list.ask(() => page([1], "b"));
  list.ask(() => Promise.reject(new TypeError("fetch failed")));
  await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect([list.items, list.problem?.reason, list.loading]).toEqual([[1], "unreachable", false]);
});
