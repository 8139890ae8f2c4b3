// The day on which the phone is lost: ten codes on paper, made when all was well, and one of them that leads to where a
// passkey takes the phone's place.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { giveAuthenticator, look, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startDemo } from "./lib/demo.mjs";

let demo, browser, rui;

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), openBrowser()]);
  rui = demo.person("rui@acme.example");
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** Rui makes codes and keeps the file. */
async function makesCodes(page) {
  await page.goto(demo.at("acme", "/factors"));
  await rui.signIn(page);
  await page.getByText("Make recovery codes").waitFor();
  await look(page, "factors-offer");
  await page.getByRole("link", { name: "Make codes" }).click();
  await rui.showCode(page);
  await page.getByRole("heading", { name: "Your recovery codes" }).waitFor();
  await look(page, "enrol-recovery");
  const codes = await page.locator(".codes li").allInnerTexts();
  assert.equal(new Set(codes).size, 10);
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Save as a text file" }).click()]);
  assert.equal(saved.suggestedFilename(), "recovery-codes.txt");
  const text = await readFile(await saved.path(), "utf8");
  assert.ok(text.includes(rui.email) && text.endsWith(`\n${codes.join("\n")}\n`), text);
  // Nothing counts before the person says so, and the page cannot be sent without it.
  await page.getByRole("button", { name: "Done" }).click();
  assert.equal(placeOf(page), demo.at("acme", "/factors/recovery"));
  await page.getByLabel("I have kept these codes").check();
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByText("Your recovery codes count from now on.").waitFor();
  await page.getByText("10 left").waitFor();
  await look(page, "factors-codes");
  await page.goBack();
  assert.ok(!codes.some((code) => page.url().includes(code)));
  assert.ok((await page.locator(".codes li").allInnerTexts()).every((code) => !codes.includes(code)), "shown twice");
  return codes;
}

test("a_lost_phone_is_replaced_by_a_passkey_on_the_strength_of_a_recovery_code", async () => {
  const before = await openWindow(browser);
  let codes;
  await tell(before, async (page) => (codes = await makesCodes(page)));
  await before.leave();

  // Another browser, no phone: what asks for two proofs leads to the codes.
  const page = await openWindow(browser);
  await tell(page, async () => {
    const blinded = demo.at("records.acme", "/studies/S-7/records/R-1");
    const device = await giveAuthenticator(page);
    await page.goto(blinded);
    await rui.signIn(page);
    await page.getByRole("heading", { name: "Confirm it’s you" }).waitFor();
    await look(page, "step-up-recovery");
    await page.getByRole("link", { name: "Use a recovery code" }).click();
    await page.getByRole("heading", { name: "Use a recovery code" }).waitFor();
    await look(page, "recovery");
    // The keyboard is enough.
    await page.getByLabel("Recovery code").fill("0000 0000 0000 0000");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    await look(page, "recovery-wrong");
    await page.getByLabel("Recovery code").fill(codes[0].toLowerCase().replaceAll("-", " "));
    await page.keyboard.press("Enter");
    await page.getByText("You are in with a recovery code.").waitFor();
    await page.getByText("9 left").waitFor();
    assert.equal(placeOf(page), demo.at("acme", "/factors"));
    await look(page, "factors-recovering");

    await page.getByRole("link", { name: "Add a passkey" }).click();
    await page.getByLabel("Name").fill("New phone");
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await page.getByText("Added. You can sign in with it from now on.").waitFor();
    assert.equal((await device.credentials()).length, 1);
    assert.equal(await page.getByText("You are in with a recovery code.").count(), 0);
    await page.getByRole("link", { name: "Remove Authenticator app" }).click();
    await page.getByRole("button", { name: "Remove Authenticator app" }).click();
    await page.getByText("Removed. It no longer signs you in.").waitFor();
    await page.goto(blinded);
    await page.getByText(/Rui Reviewer · assurance 2/).waitFor();

    await page.goto(demo.at("acme"));
    await page.getByText("A recovery code of yours was used").waitFor();
    await look(page, "portal-recovered");
  });
  await page.leave();

  // Whoever copied the list finds that code spent.
  const thief = await openWindow(browser);
  await tell(thief, async () => {
    await thief.goto(demo.at("records.acme", "/studies/S-7/records/R-1"));
    await rui.signIn(thief);
    await thief.getByRole("link", { name: "Use a recovery code" }).click();
    await thief.getByLabel("Recovery code").fill(codes[0]);
    await thief.keyboard.press("Enter");
    await thief.getByRole("alert").waitFor();
    assert.equal(placeOf(thief), demo.at("acme", "/sign-in/recovery"));
  });
  await thief.leave();
});
