// Cedar for the editor: colours from the one tokenizer, and words to complete.
import { autocompletion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import type { Extension } from "@codemirror/state";
import { tags } from "@lezer/highlight";
import { FUNCTIONS, KEYWORDS, nextToken, VARIABLES, type Kind } from "../../../lib/cedar.ts";

/** What this tenant has, for completion. */
export interface Words {
  groups: string[];
  apps: string[];
  actions: string[];
  types: string[];
}

const TAGS: Record<Kind, string | null> = {
  comment: "comment",
  string: "string",
  keyword: "keyword",
  variable: "self",
  type: "typeName",
  annotation: "meta",
  number: "number",
  function: "macroName",
  name: "propertyName",
  operator: "operator",
  space: null,
};

const cedar = StreamLanguage.define<null>({
  name: "cedar",
  startState: () => null,
  token: (stream) => {
    const token = nextToken(stream.string.slice(stream.pos));
    stream.pos += token.text.length;
    return TAGS[token.kind];
  },
  languageData: { commentTokens: { line: "//" }, closeBrackets: { brackets: ["(", "[", "{", '"'] } },
});

const colours = HighlightStyle.define([
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.string, tags.number], color: "var(--code-string)" },
  { tag: tags.keyword, fontWeight: "600" },
  { tag: tags.self, color: "var(--accent)" },
  { tag: [tags.typeName, tags.macroName], color: "var(--code-type)" },
  { tag: tags.meta, color: "var(--muted)" },
]);

const CONTEXT = ["assurance", "time", "signed_in", "client", "factors", "method", "host", "path", "client_id", "scope"];
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "read", "write"];

function complete(words: Words) {
  const entities: Record<string, string[]> = { Group: words.groups, App: words.apps, Action: [...METHODS, ...words.actions] };
  return (context: CompletionContext): CompletionResult | null => {
    const entity = context.matchBefore(/\b[A-Z]\w*::"[^"\n]*/);
    if (entity) {
      const open = entity.text.indexOf('"');
      const known = entities[entity.text.slice(0, entity.text.indexOf(":"))] ?? [];
      return { from: entity.from + open + 1, options: known.map((label) => ({ label, type: "constant" })), validFor: /^[^"\n]*$/ };
    }
    const member = context.matchBefore(/\bcontext\.\w*/);
    if (member) return { from: member.from + 8, options: CONTEXT.map((label) => ({ label, type: "property" })), validFor: /^\w*$/ };
    const word = context.matchBefore(/\b[A-Za-z_]\w*/);
    if (!word && !context.explicit) return null;
    const types = ["User", "Group", "Visitor", "Service", "Workload", "App", "Action", ...words.types];
    return {
      from: word?.from ?? context.pos,
      options: [
        ...KEYWORDS.map((label) => ({ label, type: "keyword" })),
        ...VARIABLES.map((label) => ({ label, type: "variable" })),
        ...FUNCTIONS.map((label) => ({ label, type: "function" })),
        ...types.map((label) => ({ label, type: "type" })),
      ],
      validFor: /^\w*$/,
    };
  };
}

/** Everything that makes an editor speak Cedar. */
export function cedarMode(words: () => Words): Extension {
  return [cedar, syntaxHighlighting(colours), autocompletion({ override: [(context) => complete(words())(context)], icons: false })];
}
