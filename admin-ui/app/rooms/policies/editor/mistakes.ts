// Mistakes in the editor: a mark in the gutter, a line beneath the words, and under their line what is wrong and the way
// out, with the edit that mends it where there is one.
import { type EditorState, type Extension, type Range, RangeSet, StateEffect, StateField, type Text } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, gutter, GutterMarker, keymap, WidgetType } from "@codemirror/view";
import { type Fix, fixFor, range } from "../../../lib/policy-set.ts";
import { mistake, type Part, parts } from "../../../lib/said.ts";
import type { Diagnostic } from "../../../lib/types.ts";

interface Shown {
  marks: DecorationSet;
  notes: DecorationSet;
}

class Note extends WidgetType {
  constructor(
    readonly found: Diagnostic,
    readonly fix: Fix | null,
    readonly wrong: string,
  ) {
    super();
  }

  override eq(other: Note): boolean {
    return other.found.message === this.found.message && other.found.help === this.found.help && JSON.stringify(other.fix) === JSON.stringify(this.fix);
  }

  override toDOM(view: EditorView): HTMLElement {
    const note = document.createElement("div");
    note.className = "cm-mistake";
    const text = document.createElement("span");
    text.append(...parts(mistake(this.found)).map(written));
    note.append(text);
    const { fix } = this;
    if (fix) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `Replace ${this.wrong} with ${fix.insert}`;
      button.onclick = () => mend(view, this.found);
      note.append(button);
    }
    // INVARIANT: no margin, only padding: the editor measures a block without its margins, and its gutter would drift.
    const block = document.createElement("div");
    block.className = "cm-mistake-block";
    block.setAttribute("role", "note");
    block.append(note);
    return block;
  }

  override ignoreEvent(): boolean {
    return true;
  }
}

function written(part: Part): Node {
  if (!part.code) return document.createTextNode(part.text);
  const code = document.createElement("code");
  code.textContent = part.text;
  return code;
}

class Mark extends GutterMarker {
  override toDOM(): HTMLElement {
    const mark = document.createElement("span");
    mark.className = "cm-mistake-mark";
    mark.textContent = "✕";
    return mark;
  }
}

const mark = new Mark();
const show = StateEffect.define<Diagnostic[]>();

function place(doc: Text, found: Diagnostic[]): Shown {
  const text = doc.toString();
  const marks: Range<Decoration>[] = [];
  const notes: Range<Decoration>[] = [];
  for (const one of found) {
    const at = range(text, one);
    const from = Math.min(at.from, doc.length);
    // An empty place, such as the end of the text, is marked on what stands before it.
    const to = Math.min(Math.max(at.to, from), doc.length);
    const start = from === to ? Math.max(from - 1, doc.lineAt(from).from) : from;
    if (to > start) marks.push(Decoration.mark({ class: "cm-mistaken" }).range(start, to));
    const fix = fixFor(text, one);
    const wrong = fix ? text.slice(fix.from, fix.to) : "";
    notes.push(Decoration.widget({ widget: new Note(one, fix, wrong), block: true, side: 1 }).range(doc.lineAt(from).to));
  }
  return { marks: Decoration.set(marks, true), notes: Decoration.set(notes, true) };
}

const field = StateField.define<Shown>({
  create: () => ({ marks: Decoration.none, notes: Decoration.none }),
  update: (shown, transaction) => {
    for (const effect of transaction.effects) if (effect.is(show)) return place(transaction.state.doc, effect.value);
    if (!transaction.docChanged) return shown;
    return { marks: shown.marks.map(transaction.changes), notes: shown.notes.map(transaction.changes) };
  },
  provide: (self) => [EditorView.decorations.from(self, (shown) => shown.marks), EditorView.decorations.from(self, (shown) => shown.notes)],
});

function marked(state: EditorState): RangeSet<GutterMarker> {
  const lines = new Set<number>();
  const each = state.field(field).notes.iter();
  for (; each.value; each.next()) lines.add(state.doc.lineAt(each.from).from);
  return RangeSet.of([...lines].toSorted((a, b) => a - b).map((from) => mark.range(from)));
}

/** Makes the edit that the help offers, against the text as it is now. */
function mend(view: EditorView, found: Diagnostic): void {
  const fix = fixFor(view.state.doc.toString(), found);
  if (!fix) return;
  view.dispatch({ changes: fix, selection: { anchor: fix.from + fix.insert.length }, userEvent: "input.fix", scrollIntoView: true });
  view.focus();
}

/** Goes to the next mistake, round at the end. */
function next(view: EditorView): boolean {
  const places: number[] = [];
  const each = view.state.field(field).marks.iter();
  for (; each.value; each.next()) places.push(each.from);
  const to = places.find((from) => from > view.state.selection.main.head) ?? places[0];
  if (to === undefined) return false;
  view.dispatch({ selection: { anchor: to }, scrollIntoView: true });
  return true;
}

/** Shows these mistakes instead of those shown before. */
export function showMistakes(view: EditorView, found: Diagnostic[]): void {
  view.dispatch({ effects: show.of(found) });
}

export function mistakes(): Extension {
  return [field, gutter({ class: "cm-mistakes", markers: (view) => marked(view.state), initialSpacer: () => mark }), keymap.of([{ key: "F8", run: next }])];
}
