// What an administrator should look at, worst first.
import { to } from "../../lib/router.svelte.ts";
import type { Me, Overview } from "../../lib/types.ts";
import { count } from "../../lib/words.ts";

export interface Need {
  text: string;
  act: string;
  href: string;
  tone: "deny" | "challenge";
}

/** From nothing to look at to everything. */
export function attention(now: Overview, me: Me): Need[] {
  const needs: Need[] = [];
  const { people, last_day, policy } = now;
  const add = (when: boolean, tone: Need["tone"], text: string, act: string, href: string) => {
    if (when) needs.push({ tone, text, act, href });
  };
  const failed = count(last_day.faulted, "request");
  add(last_day.faulted > 0, "deny", `${failed} failed in the last 24 hours: a service or a store could not be reached.`, "See the log", to(["log"], { reason: "upstream-unreachable" }));
  add(policy.files === 0, "deny", "There are no policies, so nobody reaches any app.", "Write the first", to(["policies"]));
  add(policy.files > 0 && policy.tests === 0, "challenge", "The policies have no tests: a mistake in them is seen only when somebody is refused.", "Add a test", to(["policies", "tests"]));
  const weak = people.without_second_factor;
  add(weak > 0, "challenge", `${count(weak, "user")} ${weak === 1 ? "has" : "have"} no second factor.`, "See users", to(["users"], me.tenant.wants_second_factor ? { lacking: "second" } : { status: "active" }));
  add(people.invited > 0, "challenge", `${count(people.invited, "invitation")} ${people.invited === 1 ? "waits" : "wait"} to be used.`, "See invited", to(["users"], { status: "invited" }));
  add(me.assurance < 2, "challenge", "You are signed in with one factor only.", "Add a factor", "/factors");
  return needs;
}
