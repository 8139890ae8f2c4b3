// Cedar as the reader sees it: which part of a text is what. The editor and every policy shown elsewhere use it.

export type Kind = "comment" | "string" | "keyword" | "variable" | "type" | "annotation" | "number" | "function" | "name" | "operator" | "space";

export interface Token {
  kind: Kind;
  text: string;
}

export const KEYWORDS = ["permit", "forbid", "when", "unless", "if", "then", "else", "in", "has", "like", "is", "true", "false"];
export const VARIABLES = ["principal", "action", "resource", "context"];
export const FUNCTIONS = ["ip", "decimal", "datetime", "duration"];

const RULES: [RegExp, (text: string) => Kind][] = [
  [/^\s+/, () => "space"],
  [/^\/\/[^\n]*/, () => "comment"],
  [/^"(?:[^"\\\n]|\\.)*"?/, () => "string"],
  [/^@[A-Za-z_]\w*/, () => "annotation"],
  [/^\d+/, () => "number"],
  [/^\.\s*[A-Za-z_]\w*(?=\s*\()/, () => "function"],
  [/^[A-Za-z_]\w*(?=\s*::)/, () => "type"],
  [/^[A-Za-z_]\w*(?=\s*\()/, (text) => (FUNCTIONS.includes(text) ? "function" : word(text))],
  [/^[A-Za-z_]\w*/, word],
  [/^(?:::|==|!=|<=|>=|&&|\|\||[^\sA-Za-z_0-9"])/, () => "operator"],
];

function word(text: string): Kind {
  if (KEYWORDS.includes(text)) return "keyword";
  if (VARIABLES.includes(text)) return "variable";
  return /^[A-Z]/.test(text) ? "type" : "name";
}

/** The token at the start of `rest`, which is not empty. */
export function nextToken(rest: string): Token {
  for (const [rule, kind] of RULES) {
    const text = rule.exec(rest)?.[0];
    if (text) return { kind: kind(text), text };
  }
  return { kind: "operator", text: rest.charAt(0) };
}

/** The whole text, nothing left out. */
export function tokens(text: string): Token[] {
  const found: Token[] = [];
  for (let rest = text; rest; ) {
    const token = nextToken(rest);
    found.push(token);
    rest = rest.slice(token.text.length);
  }
  return found;
}
