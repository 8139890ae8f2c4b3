// People, and how they get through the pages of a sign-in.

import assert from "node:assert/strict";

import { python, until } from "./places.mjs";

/** Seconds of a step of one-time codes (RFC 6238). */
const STEP = 30;

/** Somebody who can sign in. */
export class Person {
  #spent = 0;

  constructor({ tenant, email, password, totp = null }) {
    Object.assign(this, { tenant, email, password, totp });
  }

  /** A one-time code, made by an implementation that is not ours. No code works twice, so each call gives a later one. */
  async code() {
    assert.ok(this.totp, `${this.email} has no one-time codes`);
    const now = () => Math.floor(Date.now() / 1000 / STEP);
    const step = Math.max(now(), this.#spent + 1);
    // The gateway takes codes of one step ahead; who needs a third within a step waits for the clock, as people do.
    await until(() => step <= now() + 1, "the next one-time code");
    this.#spent = step;
    return python("import pyotp, sys; print(pyotp.TOTP(sys.argv[1]).at(int(sys.argv[2])))", this.totp, String(step * STEP));
  }

  /** Types address and password on the sign-in pages. */
  async signIn(page) {
    await page.getByLabel("E-mail address").fill(this.email);
    await page.getByRole("button", { name: "Continue", exact: true }).click();
    await page.getByLabel("Password").fill(this.password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
  }

  /** Types a code where one is asked for. */
  async showCode(page) {
    await page.getByLabel("One-time code").fill(await this.code());
    await page.getByRole("button", { name: "Verify" }).click();
  }

  /** Signs in at the stand-in provider. */
  async signInAtProvider(page) {
    await page.getByRole("heading", { name: "Stand-in provider" }).waitFor();
    await page.getByLabel("E-mail").fill(this.email);
    await page.getByLabel("Password").fill(this.password);
    await page.getByRole("button", { name: "Sign in" }).click();
  }
}
