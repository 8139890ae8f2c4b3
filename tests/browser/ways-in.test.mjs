// The ways in, each walked to its end in a real browser: from the invitation to the portal, with two proofs, without a name, and
// through an app's own page that asks for more.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { giveAuthenticator, look, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startDemo } from "./lib/demo.mjs";
import { Person } from "./lib/people.mjs";

const PASSWORD = "seven green bottles on a wall";

let demo, browser;

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** A story in a window of its own, which must stay clean but for what it `expects`. */
function story(name, told, expects = null) {
  test(name, async () => {
    const page = await openWindow(browser);
    await tell(page, told, expects);
    await page.leave();
  });
}

async function invited(email, name) {
  const told = await demo.cardea("--format", "json", "user", "--tenant", "acme", "invite", email, "--name", name, "--group", "readers");
  return JSON.parse(told).url;
}

const heading = (page, name) => page.getByRole("heading", { name }).waitFor();

async function signOut(page) {
  await page.getByRole("button", { name: "Sign out", exact: true }).first().click();
  await heading(page, "You are signed out");
}

story("an_invitation_leads_by_a_passkey_to_the_portal", async (page) => {
  const device = await giveAuthenticator(page);
  await page.goto(await invited("ines@acme.example", "Ines Invited"));
  await heading(page, "Welcome to Acme Laboratories");
  await look(page, "invitation-passkey-1-welcome");
  await page.getByRole("button", { name: "Create a passkey" }).click();
  await heading(page, "Hello, Ines Invited");
  assert.equal(placeOf(page), demo.at("acme", "/"));
  await look(page, "invitation-passkey-2-portal");
  const [credential, ...others] = await device.credentials();
  assert.deepEqual([credential.isResidentCredential, credential.rpId, others.length], [true, "acme.localhost", 0]);
  await page.goto(demo.at("acme", "/factors"));
  await heading(page, "Ways to sign in");
  await look(page, "invitation-passkey-3-factors");
  await page.goto(demo.at("acme", "/sessions"));
  await page.getByText("Chrome on Linux").waitFor();
  await look(page, "invitation-passkey-4-sessions");
});

story("a_password_and_an_authenticator_app_open_what_asks_for_two", async (page) => {
  const tom = new Person({ tenant: "acme", email: "tom@acme.example", password: PASSWORD });
  await page.goto(await invited(tom.email, "Tom Twofold"));
  await page.getByLabel("New password").fill("password1234567");
  await page.getByLabel("The same once more").fill("password1234567");
  await page.getByRole("button", { name: "Set password and continue" }).click();
  await page.getByRole("alert").waitFor();
  await look(page, "two-factors-1-common-password");
  await page.getByLabel("New password").fill(PASSWORD);
  await page.getByLabel("The same once more").fill(PASSWORD);
  await page.getByRole("button", { name: "Set password and continue" }).click();
  await heading(page, "You’re in. Add a second way?");
  await look(page, "two-factors-2-offer");
  await page.getByRole("link", { name: "Set up an authenticator app" }).click();
  await heading(page, "Set up an authenticator app");
  await look(page, "two-factors-3-enrol");
  // A code that the app did not make adds nothing.
  await page.getByLabel("One-time code").fill("000000");
  await page.getByRole("button", { name: "Confirm and add" }).click();
  await page.getByRole("alert").waitFor();
  await look(page, "two-factors-4-wrong");
  tom.totp = (await page.locator(".copy").innerText()).replaceAll(/\s/g, "");
  await page.getByLabel("One-time code").fill(await tom.code());
  await page.getByRole("button", { name: "Confirm and add" }).click();
  await page.getByText("Added. You can sign in with it from now on.").waitFor();
  await look(page, "two-factors-5-factors");
  await signOut(page);
  await look(page, "two-factors-6-signed-out");

  const blinded = demo.at("records.acme", "/studies/S-7/records/R-1");
  await page.goto(blinded);
  await heading(page, "Sign in to open Records");
  await look(page, "two-factors-7-sign-in");
  await page.getByLabel("E-mail address").fill(tom.email);
  await page.keyboard.press("Enter");
  await heading(page, "Enter your password");
  await look(page, "two-factors-8-password");
  await page.getByLabel("Password").fill("not this one at all");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  await look(page, "two-factors-9-password-wrong");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await heading(page, "Confirm it’s you");
  await look(page, "two-factors-10-code");
  await tom.showCode(page);
  await page.waitForURL(blinded);
  await page.getByText("Tom Twofold · assurance 2").waitFor();
});

story("a_device_signs_its_person_in_and_nobody_types_a_name", async (page) => {
  const device = await giveAuthenticator(page);
  await page.goto(await invited("nora@acme.example", "Nora Nameless"));
  await page.getByRole("button", { name: "Create a passkey" }).click();
  await heading(page, "Hello, Nora Nameless");
  await signOut(page);

  // By the button, with the field left empty.
  const blinded = demo.at("records.acme", "/studies/S-7/records/R-1");
  await device.touches(false);
  await page.goto(blinded);
  await heading(page, "Sign in to open Records");
  await look(page, "no-name-1-sign-in");
  assert.equal(await page.getByLabel("E-mail address").getAttribute("autocomplete"), "username webauthn");
  assert.equal(await page.getByLabel("E-mail address").inputValue(), "");
  // What the browser offers in the field waits since then; the button takes its place.
  await device.touches(true);
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await page.waitForURL(blinded);
  await page.getByText(/Nora Nameless · assurance [23]/).waitFor();
  await page.goto(demo.at("acme"));
  await signOut(page);

  // By what the browser offers in the field: nothing is pressed on the page at all.
  await page.goto(demo.told.sign_in);
  await heading(page, "Hello, Nora Nameless");
  await signOut(page);

  // While the device waits for its person, the page says so.
  await device.touches(false);
  await page.goto(demo.told.sign_in);
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await page.getByText("Follow the instructions of your browser …").waitFor();
  await look(page, "no-name-2-waiting");
});

story("an_apps_page_asks_for_more_and_is_there_again_afterwards", async (page) => {
  const rui = demo.person("rui@acme.example");
  const record = demo.at("records.acme", "/studies/S-12/records/R-2");
  await page.goto(record);
  await rui.signIn(page);
  await page.waitForURL(record);
  await look(page, "step-up-1-app");
  await page.getByRole("button", { name: "Approve R-2" }).click();
  await heading(page, "Confirm it’s you");
  await look(page, "step-up-2-asked");
  await page.getByRole("link", { name: "Confirm it’s you" }).click();
  await page.waitForURL(/\/sign-in\/step-up/);
  await look(page, "step-up-3-code");
  await page.getByLabel("One-time code").fill("000000");
  await page.getByRole("button", { name: "Verify" }).click();
  await page.getByRole("alert").waitFor();
  await look(page, "step-up-4-wrong");
  await rui.showCode(page);
  await page.waitForURL(record);
  await page.getByRole("button", { name: "Approve R-2" }).click();
  await page.getByText(/approved by Rui Reviewer.*assurance 2/).waitFor();
  await look(page, "step-up-5-done");
});
