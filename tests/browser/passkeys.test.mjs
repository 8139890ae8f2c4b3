// A passkey of which there are two: the copy is shown to the door, and its owner hears of it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { giveAuthenticator, isAccessible, openBrowser, openWindow, tell } from "./lib/chromium.mjs";
import { startDemo } from "./lib/demo.mjs";

let demo, browser;

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** Goes to the sign-in page and shows the passkey of its device; a browser may offer it before the button is pressed. */
async function shows(page, device) {
  await device.touches(false);
  await page.goto(demo.told.sign_in);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await device.touches(true);
  await page.getByRole("button", { name: "Use a passkey" }).click({ timeout: 3000 }).catch(() => {});
}

test("a_copied_passkey_opens_nothing_and_its_owner_is_told", async () => {
  const { url } = JSON.parse(await demo.cardea("--format", "json", "user", "--tenant", "acme", "invite", "noor@acme.example", "--name", "Noor", "--group", "readers"));
  const page = await openWindow(browser);
  const device = await giveAuthenticator(page);
  let copy;
  await tell(page, async () => {
    await page.goto(url);
    await page.getByRole("button", { name: "Create a passkey" }).click();
    await page.getByRole("heading", { name: /Noor/ }).waitFor();
    copy = (await device.credentials())[0];
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
    // The original goes on, and its count with it.
    await shows(page, device);
    await page.getByRole("heading", { name: /Noor/ }).waitFor();
  });

  const thief = await openWindow(browser);
  const other = await giveAuthenticator(thief);
  await tell(thief, async () => {
    await other.takes(copy);
    await shows(thief, other);
    await thief.getByText("That passkey is not known here.").waitFor();
    assert.ok(thief.url().startsWith(demo.at("acme", "/sign-in")), thief.url());
  }, /401/);
  await thief.leave();

  await tell(page, async () => {
    await page.reload();
    await page.getByText("Somebody may hold a copy of").waitFor();
    await isAccessible(page);
  });
  await page.leave();
  const log = await demo.cardea("audit", "export", "--tenant", "acme");
  assert.match(log, /a copy of it may exist/);
});

/** The button is pressed before the page's own request for a passkey has its options: both asked at once, and one was refused. */
test("the_button_gives_up_the_request_that_is_under_way", async () => {
  const { url } = JSON.parse(await demo.cardea("--format", "json", "user", "--tenant", "acme", "invite", "ivo@acme.example", "--name", "Ivo", "--group", "readers"));
  const page = await openWindow(browser);
  await giveAuthenticator(page);
  await tell(page, async () => {
    await page.goto(url);
    await page.getByRole("button", { name: "Create a passkey" }).click();
    await page.getByRole("heading", { name: /Ivo/ }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
    let asked = 0, go;
    const pressed = new Promise((resolve) => (go = resolve));
    await page.route("**/sign-in/passkey/options", async (route) => {
      // The first is still under way when the button is pressed.
      if (asked++ === 0) await pressed;
      await route.continue();
    });
    const first = page.waitForRequest("**/sign-in/passkey/options");
    await page.goto(demo.told.sign_in);
    await first;
    await page.getByRole("button", { name: "Use a passkey" }).click();
    await page.locator("form[data-passkey] .status:not(:empty)").waitFor();
    // It does not wait for an answer that is late, and one that comes then takes nobody's place.
    await page.getByRole("heading", { name: /Ivo/ }).waitFor();
    go();
    assert.equal(asked, 2);
  });
  await page.leave();
});
