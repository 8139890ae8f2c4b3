import { expect, test } from "vitest";
import { tokens } from "./cedar.ts";

const kinds = (text: string) => tokens(text).filter((token) => token.kind !== "space").map((token) => `${token.kind}:${token.text}`);

test("a policy falls into its words", () => {
  expect(kinds('@id("x") permit (principal in Group::"a b", action, resource is Record) when { context.client.isInRange(ip("::1")) };')).toEqual([
    "annotation:@id", "operator:(", 'string:"x"', "operator:)", "keyword:permit", "operator:(", "variable:principal", "keyword:in", "type:Group", "operator:::", 'string:"a b"',
    "operator:,", "variable:action", "operator:,", "variable:resource", "keyword:is", "type:Record", "operator:)", "keyword:when", "operator:{", "variable:context", "operator:.",
    "name:client", "function:.isInRange", "operator:(", "function:ip", "operator:(", 'string:"::1"', "operator:)", "operator:)", "operator:}", "operator:;",
  ]);
});

test("what looks like code in comments and strings is none", () => {
  expect(kinds('// permit "x"\n"// \\" no"')).toEqual(['comment:// permit "x"', 'string:"// \\" no"']);
});

test.each(['permit(', '"no end', "é ü 漢 \u{1F512}", "@", "", "a\n\n\tb", "1.5 >= x"])("nothing of %j is lost", (text) => {
  expect(tokens(text).map((token) => token.text).join("")).toBe(text);
});
