// A list that comes page by page. An answer that was overtaken by a newer question is dropped.
import { asProblem, type Problem } from "./api.ts";
import type { Page } from "./types.ts";

type Fetch<T> = (cursor: string | null, signal: AbortSignal) => Promise<Page<T>>;

export class Paged<T> {
  items = $state.raw<T[]>([]);
  next = $state<string | null>(null);
  loading = $state(false);
  /** Whether the first page of the present question is here. */
  ready = $state(false);
  problem = $state.raw<Problem | null>(null);
  #fetch: Fetch<T> | undefined;
  #abort: AbortController | undefined;

  /** Asks a new question. The old rows stay in sight until the new ones are here, so that nothing jumps. */
  async ask(fetch: Fetch<T>): Promise<void> {
    this.#fetch = fetch;
    this.problem = null;
    await this.#load(null);
  }

  /** Brings the page after the last. */
  async more(): Promise<void> {
    if (this.next && !this.loading) await this.#load(this.next);
  }

  /** Asks the same question from the start. */
  async again(): Promise<void> {
    if (this.#fetch) await this.ask(this.#fetch);
  }

  /** Changes the rows in place, after something was done to one of them. */
  amend(change: (item: T) => T): void {
    this.items = this.items.map(change);
  }

  async #load(cursor: string | null): Promise<void> {
    this.#abort?.abort();
    const mine = (this.#abort = new AbortController());
    this.loading = true;
    try {
      const page = await this.#fetch?.(cursor, mine.signal);
      if (mine !== this.#abort || !page) return;
      this.items = cursor ? [...this.items, ...page.items] : page.items;
      this.next = page.next ?? null;
      this.ready = true;
      this.problem = null;
    } catch (thrown) {
      if (mine === this.#abort) this.problem = asProblem(thrown);
    } finally {
      if (mine === this.#abort) this.loading = false;
    }
  }
}
