// What changed between two texts, line by line: the shortest edit by Myers' greedy way.

export interface DiffLine {
  kind: "same" | "added" | "removed";
  text: string;
  before: number | null;
  after: number | null;
}

/** Beyond this many edits the texts are taken to have nothing in common: a bound on work, not on correctness. */
const MOST_EDITS = 600;

/** Every line of both texts in one column. */
export function diffLines(before: string, after: string): DiffLine[] {
  const a = lines(before);
  const b = lines(after);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const middle = edits(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  const kinds: DiffLine["kind"][] = [...repeat("same" as const, head), ...middle, ...repeat("same" as const, tail)];
  let x = 0;
  let y = 0;
  return kinds.map((kind): DiffLine => {
    if (kind === "removed") return { kind, text: a[x++] ?? "", before: x, after: null };
    if (kind === "added") return { kind, text: b[y++] ?? "", before: null, after: y };
    x++;
    return { kind, text: b[y++] ?? "", before: x, after: y };
  });
}

/** How many lines came and went. */
export function diffCount(diff: DiffLine[]): { added: number; removed: number } {
  return { added: diff.filter((l) => l.kind === "added").length, removed: diff.filter((l) => l.kind === "removed").length };
}

/** The changed lines with `around` lines beside them; `null` stands where lines were left out. */
export function hunks(diff: DiffLine[], around = 3): (DiffLine | null)[] {
  const keep = new Set<number>();
  diff.forEach((line, at) => {
    if (line.kind !== "same") for (let near = at - around; near <= at + around; near++) keep.add(near);
  });
  return diff.flatMap((line, at): (DiffLine | null)[] => {
    if (keep.has(at)) return [line];
    return at === 0 || keep.has(at - 1) ? [null] : [];
  });
}

function lines(text: string): string[] {
  if (text === "") return [];
  return text.replace(/\r\n/g, "\n").replace(/\n$/, "").split("\n");
}

function repeat<K>(kind: K, times: number): K[] {
  return Array<K>(times).fill(kind);
}

function edits(a: string[], b: string[]): DiffLine["kind"][] {
  const most = Math.min(a.length + b.length, MOST_EDITS);
  const trail: Map<number, number>[] = [];
  let reach = new Map([[1, 0]]);
  for (let d = 0; d <= most; d++) {
    trail.push(new Map(reach));
    for (let k = -d; k <= d; k += 2) {
      let x = down(reach, k, d) ? (reach.get(k + 1) ?? 0) : (reach.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      reach.set(k, x);
      if (x >= a.length && x - k >= b.length) return walk(trail, a.length, b.length);
    }
    reach = new Map(reach);
  }
  return [...repeat("removed" as const, a.length), ...repeat("added" as const, b.length)];
}

function down(reach: Map<number, number>, k: number, d: number): boolean {
  return k === -d || (k !== d && (reach.get(k - 1) ?? 0) < (reach.get(k + 1) ?? 0));
}

function walk(trail: Map<number, number>[], x: number, y: number): DiffLine["kind"][] {
  const path: DiffLine["kind"][] = [];
  for (let d = trail.length - 1; d >= 0; d--) {
    const reach = trail[d] ?? new Map<number, number>();
    const k = x - y;
    const from = down(reach, k, d) ? k + 1 : k - 1;
    const fromX = reach.get(from) ?? 0;
    const fromY = fromX - from;
    while (x > fromX && y > fromY && x > 0 && y > 0) {
      path.push("same");
      x--;
      y--;
    }
    if (d > 0) path.push(from === k + 1 ? "added" : "removed");
    x = fromX;
    y = fromY;
  }
  return path.reverse();
}
