// The set of policies on the bench: what is active, what this browser changed, and what the gateway says of it. Drafts
// live in the tab's storage: a reload, a lost session or a crash takes nothing away.
import { api, asProblem, type Problem } from "../../lib/api.ts";
import { carryOver, changes, sourceFile, TESTS } from "../../lib/policy-set.ts";
import type { Checked, PolicySet, TestSpec, VersionedSet } from "../../lib/types.ts";

interface Stored {
  version: number;
  base: PolicySet;
  draft: PolicySet;
}

/** Long enough for a word, short enough to feel at once. */
const PAUSE_MS = 350;

class Workbench {
  active = $state.raw<VersionedSet | null>(null);
  draft = $state.raw<PolicySet>({ policies: [], tests: [] });
  checked = $state.raw<Checked | null>(null);
  checking = $state(false);
  problem = $state.raw<Problem | null>(null);
  /** Set when the active version changed under the draft: which files were changed by both. */
  moved = $state.raw<{ to: number; both: string[] } | null>(null);
  #tenant = "";
  #soon: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | undefined;

  readonly changes = $derived(this.active ? changes(this.active, this.draft) : new Map());
  readonly errors = $derived(this.checked?.diagnostics ?? []);
  readonly failing = $derived((this.checked?.tests ?? []).filter((test) => !test.passed));
  readonly sound = $derived(this.checked !== null && !this.checking && !this.errors.length && !this.failing.length);

  /** Fetches what is active and lays this tab's draft over it. */
  async open(tenant: string): Promise<void> {
    this.#tenant = tenant;
    this.problem = null;
    try {
      const active = await api.policies();
      this.#lay(active, this.#restore());
    } catch (thrown) {
      this.problem = asProblem(thrown);
    }
  }

  /** Activates the draft; a moved base carries the draft over and leaves the decision to the author. */
  async activate(note: string): Promise<number | null> {
    if (!this.active) return null;
    const base = this.active;
    try {
      const { version } = await api.activate({ ...this.draft, note, base_version: base.version });
      sessionStorage.removeItem(this.#key);
      await this.open(this.#tenant);
      return version;
    } catch (thrown) {
      const problem = asProblem(thrown);
      if (problem.status === 409) this.#lay(await api.policies(), { version: base.version, base, draft: this.draft });
      if (problem.diagnostics.length || problem.tests.length) this.checked = { diagnostics: problem.diagnostics, tests: problem.tests };
      throw problem;
    }
  }

  /** Fetches again after the active version was changed elsewhere than here. */
  reopen(): Promise<void> {
    return this.open(this.#tenant);
  }

  text(name: string): string | undefined {
    return this.draft.policies.find((file) => file.name === name)?.text;
  }

  errorsIn(name: string) {
    return this.errors.filter((found) => sourceFile(found.source) === name);
  }

  edit(name: string, text: string): void {
    const others = this.draft.policies.filter((file) => file.name !== name);
    const policies = [...others, { name, text }].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    this.#change({ ...this.draft, policies });
  }

  remove(name: string): void {
    this.#change({ ...this.draft, policies: this.draft.policies.filter((file) => file.name !== name) });
  }

  setTests(tests: TestSpec[]): void {
    this.#change({ ...this.draft, tests });
  }

  /** Takes one file, or the tests, back to what is active. */
  restore(name: string): void {
    const before = this.active?.policies.find((file) => file.name === name);
    if (name === TESTS) this.setTests(this.active?.tests ?? []);
    else if (before) this.edit(name, before.text);
    else this.remove(name);
  }

  discard(): void {
    if (this.active) this.#change({ policies: this.active.policies, tests: this.active.tests });
    this.moved = null;
  }

  get #key(): string {
    return `cardea.draft.${this.#tenant}`;
  }

  #restore(): Stored | null {
    const text = sessionStorage.getItem(this.#key);
    return text ? (JSON.parse(text) as Stored) : null;
  }

  #lay(active: VersionedSet, stored: Stored | null): void {
    this.active = active;
    if (!stored) this.draft = { policies: active.policies, tests: active.tests };
    else if (stored.version === active.version) this.draft = stored.draft;
    else {
      const { set, both } = carryOver(stored.base, stored.draft, active);
      this.draft = set;
      this.moved = { to: active.version, both };
    }
    this.#keep();
    this.#checkSoon(0);
  }

  #change(draft: PolicySet): void {
    this.draft = draft;
    this.#keep();
    this.#checkSoon(PAUSE_MS);
  }

  #keep(): void {
    if (!this.active) return;
    const { version, policies, tests } = this.active;
    const stored: Stored = { version, base: { policies, tests }, draft: this.draft };
    if (this.changes.size) sessionStorage.setItem(this.#key, JSON.stringify(stored));
    else sessionStorage.removeItem(this.#key);
  }

  #checkSoon(pause: number): void {
    clearTimeout(this.#soon);
    this.#abort?.abort();
    this.checking = true;
    this.#soon = setTimeout(() => void this.#check(), pause);
  }

  async #check(): Promise<void> {
    const mine = (this.#abort = new AbortController());
    try {
      const checked = await api.check(this.draft, mine.signal);
      if (mine !== this.#abort) return;
      this.checked = checked;
      this.problem = null;
    } catch (thrown) {
      if (mine === this.#abort && !mine.signal.aborted) this.problem = asProblem(thrown);
    } finally {
      if (mine === this.#abort && !mine.signal.aborted) this.checking = false;
    }
  }
}

export const bench = new Workbench();
