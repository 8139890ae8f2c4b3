// A code by e-mail in place of the password: from the letter into the app, by keyboard alone; and from an invitation that asks for
// nothing but the mailbox.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { look, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startDemo } from "./lib/demo.mjs";
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
