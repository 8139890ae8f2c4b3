// Where a call waits whose session has ended or is too weak. The person signs in again in another tab, what they typed
// stays, and the call is made once more.
import type { Problem } from "./api.ts";

interface Wait {
  problem: Problem;
  resolve: (again: boolean) => void;
}

const CHANNEL = "cardea-sign-in";

class Gate {
  #waiting = $state<Wait[]>([]);

  /** What is asked of the person now, if anything. */
  get problem(): Problem | undefined {
    return this.#waiting[0]?.problem;
  }

  /** Resolves to whether the call should be made again. */
  pass(problem: Problem): Promise<boolean> {
    return new Promise((resolve) => this.#waiting.push({ problem, resolve }));
  }

  /** Lets every waiting call through, or gives all of them up. */
  settle(again: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wait of waiting) wait.resolve(again);
  }
}

export const gate = new Gate();

/** Hears from the tab in which the person signed in. */
export function listen(): () => void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = () => gate.settle(true);
  return () => channel.close();
}

/** Tells the waiting tabs that the person is back. */
export function announce(): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage("back");
  channel.close();
}

/** The address that proves it again, and then comes back to `to`. */
export function proofUrl(problem: Problem, to: string): string {
  const asked = problem.challenge?.url ?? "/sign-in";
  const url = new URL(asked, location.origin);
  const here = url.origin === location.origin ? url : new URL("/sign-in", location.origin);
  here.searchParams.set("to", to);
  return here.href;
}
