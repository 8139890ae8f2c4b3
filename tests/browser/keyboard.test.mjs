// Sign-in and portal by keyboard alone: Tab, Enter and Space, and at each stop the eye finds the focus.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { giveAuthenticator, openBrowser, openWindow, placeOf, tabTo, tell, withoutPointer } from "./lib/chromium.mjs";
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

const heading = (page, name) => page.getByRole("heading", { name, exact: true }).waitFor();
const button = (page, name) => page.getByRole("button", { name, exact: true });
const link = (page, name) => page.getByRole("link", { name, exact: true });

/** Goes to a thing by Tab and presses a key on it. */
async function press(page, target, key = "Enter") {
  await tabTo(page, target);
  await page.keyboard.press(key);
}

/** Types into a field that is come to by Tab, or has the focus from the start. */
async function type(page, label, text, key = "Enter") {
  await tabTo(page, page.getByLabel(label, { exact: true }));
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type(text);
  if (key) await page.keyboard.press(key);
}

async function signsIn(page) {
  await type(page, "E-mail address", rui.email);
  await heading(page, "Enter your password");
  await type(page, "Password", rui.password);
}

async function keyboardStory(page) {
  const device = await giveAuthenticator(page);
  await device.touches(false);
  await page.goto(demo.told.sign_in);
  // A mistake is told where it was made, and the focus is back in the field.
  await type(page, "E-mail address", "nobody@acme.example");
  await heading(page, "Enter your password");
  await type(page, "Password", "not this one at all");
  await page.getByRole("alert").waitFor();
  await press(page, link(page, "Not you?"));
  await signsIn(page);
  await heading(page, "Hello, Rui Reviewer");
  assert.equal(placeOf(page), demo.at("acme", "/"));

  // The first stop leads past what stands on every page.
  await press(page, link(page, "Skip to the content"));
  assert.equal(new URL(page.url()).hash, "#main");
  await tabTo(page, page.getByRole("link", { name: /^Records/ }));

  // A passkey is added, named anew and removed.
  await press(page, link(page, "Ways to sign in"));
  await heading(page, "Ways to sign in");
  await press(page, page.getByRole("link", { name: /^Add a passkey/ }));
  await heading(page, "Confirm it’s you");
  await type(page, "One-time code", await rui.code());
  await device.touches(true);
  await heading(page, "Add a passkey");
  await type(page, "Name", "Laptop");
  await page.getByText("Added. You can sign in with it from now on.").waitFor();
  await press(page, link(page, "Rename Laptop"));
  await type(page, "Name", "Old laptop");
  await page.getByText("The new name is saved.").waitFor();
  await press(page, link(page, "Remove Old laptop"));
  await heading(page, "Remove Old laptop?");
  await press(page, link(page, "Cancel"));
  await press(page, link(page, "Remove Old laptop"));
  await heading(page, "Remove Old laptop?");
  await press(page, button(page, "Remove Old laptop"), "Space");
  await page.getByText("Removed. It no longer signs you in.").waitFor();
}

test("sign_in_and_portal_are_walked_by_keyboard_alone", async () => {
  const [page, elsewhere] = [await openWindow(browser), await openWindow(browser)];
  await withoutPointer(page);
  await tell(page, keyboardStory);
  await tell(elsewhere, async () => {
    await withoutPointer(elsewhere);
    await elsewhere.goto(demo.told.sign_in);
    await signsIn(elsewhere);
    await heading(elsewhere, "Hello, Rui Reviewer");
  });
  await tell(page, async () => {
    await press(page, link(page, "Sessions"));
    await heading(page, "Sessions");
    await press(page, page.getByRole("button", { name: /^End session of/ }), "Space");
    await page.getByText("The session has ended.").waitFor();
    await press(page, button(page, "Sign out everywhere"));
    await heading(page, "You are signed out everywhere");
    await press(page, link(page, "Sign in again"));
    await heading(page, "Sign in");
  });
  await Promise.all([page.leave(), elsewhere.leave()]);
});

test("a_telephone_with_a_keyboard_comes_everywhere", async () => {
  const page = await openWindow(browser, { viewport: { width: 390, height: 844 } });
  await withoutPointer(page);
  await tell(page, async () => {
    await page.goto(demo.told.sign_in);
    await signsIn(page);
    await heading(page, "Hello, Rui Reviewer");
    for (const place of ["Ways to sign in", "Sessions"]) {
      await press(page, link(page, place));
      await heading(page, place);
    }
    await press(page, button(page, "Sign out").last(), "Space");
    await heading(page, "You are signed out");
  });
  await page.leave();
});
