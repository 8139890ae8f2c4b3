// One thing that is fetched: absent, here, or a problem. An answer that was overtaken is dropped.
import { asProblem, type Problem } from "./api.ts";

export class Loaded<T> {
  value = $state.raw<T | null>(null);
  problem = $state.raw<Problem | null>(null);
  #asked = 0;
  #fetch: (() => Promise<T>) | undefined;

  /** Fetches; what was here before goes at once, for it is another thing. */
  async ask(fetch: () => Promise<T>): Promise<void> {
    this.value = null;
    await this.#load(fetch);
  }

  /** Fetches the same again; what is here stays until then. */
  again = async (): Promise<void> => {
    if (this.#fetch) await this.#load(this.#fetch);
  };

  async #load(fetch: () => Promise<T>): Promise<void> {
    const mine = ++this.#asked;
    this.#fetch = fetch;
    this.problem = null;
    try {
      const value = await fetch();
      if (mine === this.#asked) this.value = value;
    } catch (thrown) {
      if (mine === this.#asked) this.problem = asProblem(thrown);
    }
  }
}

/** One act at a time: whether it runs, and how it failed. */
export class Act {
  running = $state(false);
  problem = $state.raw<Problem | null>(null);

  /** Runs it unless it runs already; resolves to whether it was done. */
  async run(act: () => Promise<unknown>): Promise<boolean> {
    if (this.running) return false;
    this.running = true;
    this.problem = null;
    try {
      await act();
      return true;
    } catch (thrown) {
      this.problem = asProblem(thrown);
      return false;
    } finally {
      this.running = false;
    }
  }
}
