import { expect, test } from "vitest";
import { mistake, parts, sentence } from "./said.ts";

test("a message becomes sentences with its values as code", () => {
  const text = mistake({ message: "there is no group `chemist`", help: "did you mean `chemists`?" });
  expect(text).toBe("There is no group `chemist`. Did you mean `chemists`?");
  expect(parts(text).map((part) => (part.code ? `<${part.text}>` : part.text)).join("")).toBe("There is no group <chemist>. Did you mean <chemists>?");
});

test("a lone backtick is text, and nothing stays nothing", () => {
  expect(parts("a ` b").map((part) => part.text).join("")).toBe("a ` b");
  expect(parts("a `b` ` c").filter((part) => part.code)).toEqual([{ text: "b", code: true }]);
  expect(sentence("")).toBe("");
});
