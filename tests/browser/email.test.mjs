// A code by e-mail in place of the password: from the letter into the app, by keyboard alone; and from an invitation that asks for
// nothing but the mailbox.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { look, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startDemo } from "./lib/demo.mjs";
import { startGateway } from "./lib/gateway.mjs";
import { codeTo, lettersTo, linkTo } from "./lib/letters.mjs";

let demo, browser;

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

const codeField = (page) => page.getByLabel("Code from the e-mail");

test("who_reads_the_mailbox_gets_in_by_keyboard_alone", async () => {
  const rui = demo.person("rui@acme.example");
  const page = await openWindow(browser);
  await tell(page, async () => {
    const app = demo.at("records.acme", "/studies");
    await page.goto(app);
    await page.getByLabel("E-mail address").fill(rui.email);
    await page.keyboard.press("Enter");
    const instead = page.getByRole("button", { name: "E-mail me a code instead" });
    await instead.waitFor();
    await look(page, "password-or-mail");
    await instead.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Check your e-mail" }).waitFor();
    await look(page, "email");
    assert.ok(await codeField(page).evaluate((field) => field === document.activeElement), "the field waits for the code");
    await page.keyboard.type("0000 0000");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    await look(page, "email-wrong");
    // Asked for anew, the first is good no more.
    const first = await codeTo(demo.told.letters, rui.email);
    await page.getByRole("button", { name: "E-mail me a new code" }).click();
    const second = await codeTo(demo.told.letters, rui.email, 2);
    await codeField(page).fill(first);
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    await codeField(page).fill(second);
    await page.keyboard.press("Enter");
    await page.waitForURL(app);
    await page.getByText(/Rui Reviewer · assurance 1/).waitFor();
    // What asks for two factors is not impressed: both are shown, and the mailbox is none of them.
    await page.goto(demo.at("records.acme", "/studies/S-7/records/R-1"));
    await page.getByRole("heading", { name: "Confirm it’s you" }).waitFor();
    await look(page, "step-up-after-mail");
    await page.getByLabel("Password").fill(rui.password);
    await page.keyboard.press("Enter");
    await rui.showCode(page);
    await page.getByText(/Rui Reviewer · assurance 2/).waitFor();
    await page.goto(demo.at("acme", "/factors"));
    await page.getByText("Codes by e-mail").waitFor();
    await look(page, "factors-mail");
    const notice = (await lettersTo(demo.told.letters, rui.email)).find(({ subject }) => subject.endsWith("Sign-in from a new browser"));
    assert.match(notice.text, /Chrom/);
  });
  await page.leave();
});

test("an_invitation_needs_nothing_but_the_mailbox", async () => {
  const email = "noa@acme.example";
  assert.match(await demo.cardea("user", "--tenant", "acme", "invite", email, "--group", "readers"), /^an invitation was sent to/);
  const page = await openWindow(browser);
  await tell(page, async () => {
    await page.goto(await linkTo(demo.told.letters, email));
    await page.getByRole("heading", { name: "With codes by e-mail" }).waitFor();
    await look(page, "invitation-mail");
    await page.getByRole("button", { name: "E-mail me the first code" }).click();
    await codeField(page).fill(await codeTo(demo.told.letters, email));
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByText(`Signed in as`).first().waitFor({ state: "attached" });
    assert.equal(placeOf(page), demo.at("acme", "/"));
  });
  await page.leave();
});

test("a_tenant_without_passwords_asks_for_the_mailbox_and_nothing_else", async () => {
  const factors = "[factors]\npassword = false\npasskey = false\ntotp = false\nrecovery = false\nemail = true\n";
  const tenant = (at) => `id = "lab"\nname = "Lab"\nsign_in_host = "${new URL(at("lab")).hostname}"\n${factors}`;
  const mail = '\n[mail]\nfrom = "cardea@lab.example"\nfolder = "letters"\n';
  const gateway = await startGateway((at) => ({ "resources/tenants/lab/tenant.toml": tenant(at) }), mail);
  const [page, email, letters] = [await openWindow(browser), "maja@lab.example", gateway.file("letters")];
  const asksForNothingElse = async () => assert.equal(await page.locator("input[type=password]").count(), 0, page.url());
  try {
    assert.match(await gateway.cardea("user", "invite", email, "--name", "Maja Mailbox"), /^an invitation was sent to/);
    await tell(page, async () => {
      await page.goto(await linkTo(letters, email));
      await page.getByRole("button", { name: "E-mail me the first code" }).waitFor();
      await asksForNothingElse();
      await look(page, "mail-only-1-invitation");
      await page.getByRole("button", { name: "E-mail me the first code" }).click();
      await codeField(page).fill(await codeTo(letters, email));
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Hello, Maja Mailbox" }).waitFor();
      await page.goto(gateway.at("lab", "/factors"));
      await page.getByText("Codes by e-mail").waitFor();
      await look(page, "mail-only-2-factors");
      await page.getByRole("button", { name: "Sign out", exact: true }).click();
      await page.getByRole("link", { name: "Sign in again" }).click();

      await page.getByLabel("E-mail address").waitFor();
      await look(page, "mail-only-3-sign-in");
      await page.getByLabel("E-mail address").fill(email);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Check your e-mail" }).waitFor();
      await asksForNothingElse();
      await look(page, "mail-only-4-code");
      await codeField(page).fill(await codeTo(letters, email, 2));
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Hello, Maja Mailbox" }).waitFor();
    });
  } finally {
    await page.leave();
    await gateway.stop();
  }
});
