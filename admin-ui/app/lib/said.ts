// What the gateway says, made ready to read: it writes lower case without a full stop, with values in backticks.

export interface Part {
  text: string;
  code: boolean;
}

/** A sentence, begun and ended as sentences are. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const capital = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return !capital || /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

/** Text and code by turns; a backtick without its pair is text. */
export function parts(text: string): Part[] {
  const pieces = text.split("`");
  const paired = pieces.length % 2 ? pieces : [...pieces.slice(0, -2), pieces.slice(-2).join("`")];
  return paired.map((piece, at) => ({ text: piece, code: at % 2 === 1 })).filter((part) => part.text);
}

/** A mistake and the way out, as sentences. */
export function mistake(found: { message: string; help: string | null }): string {
  return [found.message, found.help ?? ""].map(sentence).filter(Boolean).join(" ");
}
