// The demonstration, walked by its people in a real browser: both ways of signing in, what is allowed, denied and public,
// and the second factor that appears where a policy asks for it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { giveAuthenticator, isAccessible, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startDemo } from "./lib/demo.mjs";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let demo, browser, ada, rui, nils;

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), openBrowser()]);
  [ada, rui, nils] = ["ada@acme.example", "rui@acme.example", "nils@north.example"].map(demo.person);
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** A story in a window of its own, which must stay clean. */
function story(name, told, options = {}) {
  test(name, async () => {
    const page = await openWindow(browser, options);
    await tell(page, told);
    await page.leave();
  });
}

story("a_page_asked_for_opens_after_signing_in_with_a_password", async (page) => {
  const record = demo.at("records.acme", "/studies/S-12/records/R-1");
  await page.goto(record);
  assert.equal(placeOf(page), demo.at("acme", "/sign-in"));
  await page.getByRole("heading", { name: "Sign in to open Records" }).waitFor();
  await isAccessible(page);
  await page.getByLabel("E-mail address").fill(rui.email);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Enter your password" }).waitFor();
  await isAccessible(page);
  await page.getByLabel("Password").fill(rui.password);
  await page.keyboard.press("Enter");
  await page.waitForURL(record);
  await page.getByText("Rui Reviewer · assurance 1").waitFor();
  await isAccessible(page);

  await page.goto(demo.at("acme"));
  await page.getByRole("link", { name: "Records" }).waitFor();
  await isAccessible(page);
});

story("a_wrong_password_is_refused_in_the_same_words_for_everybody", async (page) => {
  const said = [];
  for (const email of [rui.email, "nobody@acme.example"]) {
    await page.goto(demo.at("records.acme", "/studies"));
    await page.getByLabel("E-mail address").fill(email);
    await page.keyboard.press("Enter");
    await page.getByLabel("Password").fill("not this one at all");
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    said.push(await page.getByRole("alert").innerText());
    await isAccessible(page);
  }
  assert.equal(said[0], said[1]);
});

story("the_provider_of_a_tenant_signs_in_and_the_page_asked_for_opens", async (page) => {
  const record = demo.at("records.north", "/studies/S-12/records/R-1");
  await page.goto(record);
  assert.equal(placeOf(page), demo.at("north", "/sign-in"));
  await isAccessible(page);
  await page.getByRole("link", { name: "Continue with Northwind account" }).click();
  await isAccessible(page);
  await nils.signInAtProvider(page);
  await page.waitForURL(record);
  await page.getByText("Nils Reader · assurance 1").waitFor();

  // The same person writes nothing: readers read.
  await page.goto(demo.at("records.north", "/studies/S-12"));
  await page.getByLabel("Title").fill("Not mine to write");
  await page.getByLabel("Finding").fill("None.");
  await page.getByRole("button", { name: "Create record" }).click();
  await page.getByRole("heading", { name: "You don’t have access to this" }).waitFor();
});

story("one_sign_in_serves_the_portal_and_the_apps", async (page) => {
  await page.goto(demo.told.sign_in);
  await rui.signIn(page);
  await page.waitForURL(demo.at("acme"));
  await page.getByRole("link", { name: "Records" }).click();
  await page.waitForURL(demo.at("records.acme", "/studies"));
  await page.getByRole("heading", { name: "Studies" }).waitFor();
  await isAccessible(page);
});

story("a_public_page_opens_without_signing_in", async (page) => {
  const answer = await page.goto(demo.at("records.acme", "/about"));
  assert.equal(answer.status(), 200);
  assert.equal(page.url(), demo.at("records.acme", "/about"));
  await page.getByText("Not signed in").waitFor();
  assert.deepEqual(await page.context().cookies(), [], "a visitor is given no cookie");
  await isAccessible(page);
});

story("a_denied_page_names_a_request_that_the_command_line_explains", async (page) => {
  await page.goto(demo.at("records.acme", "/studies/S-12/records/R-2"));
  await ada.signIn(page);
  const [answer] = await Promise.all([page.waitForResponse(/\/approve$/), page.getByRole("button", { name: "Approve R-2" }).click()]);
  assert.equal(answer.status(), 403);
  await page.getByRole("heading", { name: "You don’t have access to this" }).waitFor();
  await isAccessible(page);
  const id = await page.getByRole("definition").innerText();
  assert.match(id, UUID);
  assert.equal(answer.headers()["x-request-id"], id);

  const told = await demo.cardea("policy", "explain", id);
  for (const fact of [id, ada.email, "approve", "S-12", "reviewers-approve", "denied"]) assert.ok(told.includes(fact), `${fact} is not in:\n${told}`);
  const { explanation } = JSON.parse(await demo.cardea("--format", "json", "policy", "explain", id));
  assert.equal(explanation.verdict, "deny");
  const rule = explanation.policies.find((policy) => policy.id === "reviewers-approve");
  assert.equal(rule.scope_matches, false, "Ada is no reviewer, and the card says so");

  // A stranger's page shows no more than that: the rule stays with the log.
  assert.ok(!(await page.content()).includes("reviewers"), "the page tells why a policy said no");
});

story("a_visitor_cannot_have_an_id_explained_that_nobody_was_given", async () => {
  await assert.rejects(demo.cardea("policy", "explain", "01a20000-0000-7000-8000-000000000000"), /: 1\n/);
});

story("a_one_time_code_opens_the_blinded_study_that_was_asked_for", async (page) => {
  const blinded = demo.at("records.acme", "/studies/S-7/records/R-1");
  await page.goto(blinded);
  await rui.signIn(page);
  await page.getByRole("heading", { name: "Confirm it’s you" }).waitFor();
  assert.equal(placeOf(page), demo.at("acme", "/sign-in/step-up"));
  await isAccessible(page);

  await page.getByLabel("One-time code").fill("000000");
  await page.getByRole("button", { name: "Verify" }).click();
  await page.getByRole("alert").waitFor();
  await isAccessible(page);

  await rui.showCode(page);
  await page.waitForURL(blinded);
  await page.getByText("Rui Reviewer · assurance 2").waitFor();
});

story(
  "a_telephone_without_scripts_signs_in_with_both_factors",
  async (page) => {
    const fits = async () => {
      const wide = await page.locator("html").evaluate((one) => one.scrollWidth);
      assert.ok(wide <= 390, `${page.url()} is ${wide} px wide`);
    };
    const blinded = demo.at("records.acme", "/studies/S-7/records/R-1");
    await page.goto(blinded);
    await fits();
    await page.getByText("Passkeys need JavaScript").waitFor();
    await ada.signIn(page);
    await page.getByRole("heading", { name: "Confirm it’s you" }).waitFor();
    await fits();
    await ada.showCode(page);
    await page.waitForURL(blinded);
    for (const path of ["/", "/factors", "/sessions"]) {
      await page.goto(demo.at("acme", path));
      await fits();
    }
    await page.getByRole("button", { name: "Sign out", exact: true }).first().click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  },
  { viewport: { width: 390, height: 844 }, javaScriptEnabled: false },
);

story("approving_asks_for_the_second_factor_and_leads_back_to_the_record", async (page) => {
  const record = demo.at("records.acme", "/studies/S-12/records/R-2");
  await page.goto(record);
  await rui.signIn(page);
  await page.getByRole("button", { name: "Approve R-2" }).click();
  await page.getByRole("heading", { name: "Confirm it’s you" }).waitFor();
  await isAccessible(page);
  await page.getByRole("link", { name: "Confirm it’s you" }).click();
  await rui.showCode(page);
  await page.waitForURL(record);
  await page.getByRole("button", { name: "Approve R-2" }).click();
  await page.getByText(/approved by Rui Reviewer.*assurance 2/).waitFor();
});

story("a_passkey_just_added_was_shown_by_that", async (page) => {
  const { url } = JSON.parse(await demo.cardea("--format", "json", "user", "--tenant", "acme", "invite", "noor@acme.example", "--group", "readers"));
  await giveAuthenticator(page);
  await page.goto(url);
  await page.getByLabel("New password").fill("seven green bottles on a wall");
  await page.getByLabel("The same once more").fill("seven green bottles on a wall");
  await page.getByRole("button", { name: "Set password and continue" }).click();
  await page.getByRole("link", { name: "Add a passkey" }).click();
  await page.getByLabel("Name").fill("Laptop");
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByText("Added. You can sign in with it from now on.").waitFor();

  // The blinded study wants two factors: the device has just checked its person.
  const blinded = demo.at("records.acme", "/studies/S-7/records/R-1");
  await page.goto(blinded);
  assert.equal(page.url(), blinded);
  await page.getByText("noor@acme.example · assurance 2").waitFor();
});

story("a_passkey_is_added_steps_up_and_signs_in_without_a_name", async (page) => {
  const device = await giveAuthenticator(page);
  await page.goto(demo.at("acme", "/factors"));
  await rui.signIn(page);
  await page.getByRole("link", { name: "Add a passkey" }).click();
  // A new way to sign in asks for the strongest way that is there already.
  await rui.showCode(page);
  await page.getByLabel("Name").fill("Laptop");
  await isAccessible(page);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByText("Added. You can sign in with it from now on.").waitFor();
  await isAccessible(page);
  const [credential, ...others] = await device.credentials();
  assert.deepEqual([credential.isResidentCredential, credential.rpId, others.length], [true, "acme.localhost", 0]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  await isAccessible(page);

  // With the password alone the blinded study asks for more; now the passkey is enough.
  const blinded = demo.at("records.acme", "/studies/S-7/records/R-1");
  await device.touches(false);
  await page.goto(blinded);
  await rui.signIn(page);
  await page.getByRole("heading", { name: "Confirm it’s you" }).waitFor();
  await isAccessible(page);
  await device.touches(true);
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await page.waitForURL(blinded);
  await page.getByText(/Rui Reviewer · assurance [23]/).waitFor();
  assert.ok((await device.credentials())[0].signCount > credential.signCount);

  // Signing out at the app ends the session everywhere.
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  await isAccessible(page);

  // Nobody types a name: the device knows it.
  await device.touches(false);
  await page.goto(blinded);
  await page.getByRole("heading", { name: "Sign in to open Records" }).waitFor();
  await device.touches(true);
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await page.waitForURL(blinded);
  await page.getByText(/Rui Reviewer · assurance [23]/).waitFor();
});

story("a_device_without_a_passkey_is_told_what_to_do", async (page) => {
  const device = await giveAuthenticator(page);
  await page.goto(demo.told.sign_in);
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await page.getByText(/Try again, or use another way/).waitFor();
  assert.deepEqual(await device.credentials(), []);
  await isAccessible(page);
});

story("signing_out_everywhere_ends_every_browser_on_its_next_request", async (page) => {
  const studies = demo.at("records.acme", "/studies");
  await page.goto(studies);
  await rui.signIn(page);
  await page.waitForURL(studies);
  const other = await openWindow(browser);
  await other.goto(demo.told.sign_in);
  await rui.signIn(other);
  await other.waitForURL(demo.at("acme"));

  await other.getByRole("link", { name: "Sessions" }).click();
  await other.getByRole("button", { name: "Sign out everywhere" }).click();
  await other.getByRole("heading", { name: "You are signed out everywhere" }).waitFor();
  await isAccessible(other);
  other.isClean();
  await other.leave();

  await page.getByRole("link", { name: "S-12" }).click();
  await page.getByRole("heading", { name: "Sign in to open Records" }).waitFor();
  assert.equal(placeOf(page), demo.at("acme", "/sign-in"));
});
