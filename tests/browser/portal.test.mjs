// The portal tells a person what happened to their account, and lets them end what they do not know.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { look, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startDemo } from "./lib/demo.mjs";

let demo, browser;

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

const heading = (page, name) => page.getByRole("heading", { name }).waitFor();

test("a_strangers_tries_and_ones_own_sign_ins_stand_in_the_activity", async () => {
  const [rui, ada] = [demo.person("rui@acme.example"), demo.person("ada@acme.example")];
  const stranger = await openWindow(browser);
  await tell(stranger, async () => {
    for (let tries = 0; tries < 3; tries++) {
      await stranger.goto(demo.told.sign_in);
      await stranger.getByLabel("E-mail address").fill(rui.email);
      await stranger.keyboard.press("Enter");
      await stranger.getByLabel("Password").fill("not this one at all");
      await stranger.keyboard.press("Enter");
      await stranger.getByRole("alert").waitFor();
    }
  });
  await stranger.leave();

  const page = await openWindow(browser);
  await tell(page, async () => {
    await page.goto(demo.told.sign_in);
    await rui.signIn(page);
    await heading(page, "Hello, Rui Reviewer");
    await page.getByRole("link", { name: "Activity" }).click();
    await heading(page, "Activity");
    const rows = await page.locator(".row").allInnerTexts();
    assert.match(rows[0], /Signed in \(Password\)[\s\S]*just now[\s\S]*Chrome on Linux[\s\S]*From/);
    // Three tries are one row: however many there are, they push nothing out of sight.
    assert.match(rows[1], /Refused: Password[\s\S]*3 times/);
    await look(page, "activity");
    const said = await page.locator("main").innerText();
    assert.ok(!said.includes(ada.email) && !said.includes("not this one"), said);
  });
  await page.leave();

  // Somebody else's is not among it.
  const other = await openWindow(browser);
  await tell(other, async () => {
    await other.goto(demo.told.sign_in);
    await ada.signIn(other);
    await heading(other, /^Hello/);
    await other.getByRole("link", { name: "Activity" }).click();
    await heading(other, "Activity");
    assert.ok(!(await other.locator("main").innerText()).includes("Refused"));
  });
  await other.leave();
});

test("all_other_sessions_end_and_this_one_goes_on", async () => {
  const rui = demo.person("rui@acme.example");
  const [here, there] = [await openWindow(browser), await openWindow(browser)];
  for (const page of [here, there]) {
    await page.goto(demo.told.sign_in);
    await rui.signIn(page);
    await heading(page, "Hello, Rui Reviewer");
  }
  await tell(here, async () => {
    await here.getByRole("link", { name: "Sessions" }).click();
    await here.getByRole("button", { name: "End all other sessions" }).waitFor();
    await look(here, "sessions-several");
    await here.getByRole("button", { name: "End all other sessions" }).click();
    await here.getByText("All other sessions have ended.").waitFor();
    assert.equal(await here.locator(".row").count(), 1);
    assert.equal(await here.getByRole("button", { name: "End all other sessions" }).count(), 0);
    await look(here, "sessions-others-ended");
  });
  // The other browser is told why it is asked again.
  await tell(there, async () => {
    await there.getByRole("link", { name: "Ways to sign in" }).click();
    await there.getByText("Your session has ended. Sign in again to go on.").waitFor();
    assert.equal(placeOf(there), demo.at("acme", "/sign-in"));
    await look(there, "sign-in-session-ended");
    await rui.signIn(there);
    await heading(there, "Ways to sign in");
  });
  await Promise.all([here.leave(), there.leave()]);
});
