// The console, as an administrator of the demonstration uses it: every change is made with the browser, and its effect is
// looked at from another person's window.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { isAccessible, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startDemo } from "./lib/demo.mjs";
import { Person } from "./lib/people.mjs";

const PASSWORD = "seven green bottles on a wall";
const RULE = (group, condition) => `
@id("readers-write-of-cleaning")
permit (principal in Group::"${group}", action == Action::"POST", resource is Study in App::"records")${condition};
`;

let demo, browser, ada, admin;

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), openBrowser()]);
  ada = demo.person("ada@acme.example");
  admin = await openWindow(browser);
  await admin.goto(demo.told.console);
  await ada.signIn(admin);
  await ada.showCode(admin);
  await admin.getByRole("heading", { name: "Overview" }).waitFor();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** A story in the administrator's window, which must stay clean. */
const story = (name, told) => test(name, () => tell(admin, told));

const go = (page, room) => page.getByRole("navigation", { name: "Console" }).getByRole("link", { name: room }).click();
const button = (page, name) => page.getByRole("button", { name, exact: true });

/** Accepts an invitation in a new window, in which the newcomer is then signed in. */
async function accept(url, email) {
  const page = await openWindow(browser);
  await page.goto(url);
  await page.getByRole("heading", { name: "Welcome to Acme Laboratories" }).waitFor();
  await page.getByText(email).waitFor();
  await isAccessible(page);
  await page.getByLabel("New password").fill(PASSWORD);
  await page.getByLabel("The same once more").fill(PASSWORD);
  await button(page, "Set password and continue").click();
  await page.getByRole("heading", { name: "You’re in. Add a second way?" }).waitFor();
  await isAccessible(page);
  return page;
}

/** Writes a record in the study that is only about cleaning; gives the status of the answer. */
async function writes(page) {
  await page.goto(demo.at("records.acme", "/studies/S-15"));
  await page.getByLabel("Title").fill("Swab 1");
  await page.getByLabel("Finding").fill("clean");
  const [answer] = await Promise.all([page.waitForResponse((one) => one.request().method() === "POST"), page.getByRole("button", { name: "Create record" }).click()]);
  await page.waitForLoadState();
  return answer.status();
}

story("every_room_opens_and_shuts_nobody_out", async (page) => {
  for (const room of ["Policies", "Apps", "Users", "Log", "Overview"]) {
    await go(page, room);
    await page.getByRole("heading", { name: room, level: 1 }).waitFor();
    await page.waitForLoadState("networkidle");
    await isAccessible(page);
  }
});

story("the_console_is_closed_to_those_who_administer_nothing", async () => {
  const page = await openWindow(browser);
  await page.goto(demo.told.console);
  const rui = demo.person("rui@acme.example");
  await rui.signIn(page);
  await page.getByRole("heading", { name: "You don’t have access to this" }).waitFor();
  await isAccessible(page);
  page.isClean();
  await page.leave();
});

story("a_test_of_what_a_service_account_may_is_written_in_the_form", async (page) => {
  await go(page, "Policies");
  await page.getByRole("navigation", { name: "Policies" }).getByRole("link", { name: /^Tests/ }).click();
  await button(page, "Add a test").click();
  await page.getByLabel("What it shows").fill("The nightly export reads");
  await page.getByLabel("Request").fill("GET /studies/S-15");
  await page.getByRole("radio", { name: "A service account" }).check();
  await page.getByLabel("Name", { exact: true }).fill("nightly export");
  const told = page.getByRole("status");
  await told.getByText(/no client name/).waitFor();
  await page.getByLabel("Name", { exact: true }).fill("nightly-export");
  assert.equal(await page.getByLabel("Signed in with").count(), 0, "it signs in nowhere");
  await page.getByRole("checkbox", { name: "readers" }).check();
  await page.getByRole("radio", { name: "Allowed" }).check();
  await told.getByText("Passes.").waitFor();
  await isAccessible(page);

  // What its token is not good for is refused whatever the policies say.
  await page.getByLabel("Scope of its token").fill("write");
  await page.getByLabel("Scope of its token").blur();
  await told.getByText("The scope has neither GET nor read.").waitFor();
  await page.getByRole("radio", { name: "Denied" }).check();
  await told.getByText("Passes.").waitFor();
  await isAccessible(page);
  await button(page, "Remove this test from the draft").click();
  await page.getByText("All 10 tests pass").waitFor();
});

story("a_policy_is_edited_broken_mended_activated_obeyed_and_taken_back", async (page) => {
  const invitation = JSON.parse(await demo.cardea("--format", "json", "user", "--tenant", "acme", "invite", "rea@acme.example", "--name", "Rea Reader", "--group", "readers"));
  const reader = await accept(invitation.url, "rea@acme.example");
  assert.equal(await writes(reader), 403);

  await go(page, "Policies");
  await page.getByText("All 10 tests pass").waitFor();
  await page.getByRole("navigation", { name: "Policies" }).getByRole("link", { name: "records" }).click();
  const editor = page.getByRole("textbox", { name: "Text of records" });
  const activate = button(page, "Activate…");
  assert.ok(await activate.isDisabled(), "nothing to activate yet");

  // A group that nobody knows: the mistake stands under its line, with the way out.
  await editor.click();
  await page.keyboard.press("Control+End");
  await page.keyboard.insertText(RULE("reader", ""));
  const note = page.getByRole("note");
  await note.waitFor();
  const line = await note.evaluate((one) => one.previousElementSibling.textContent);
  assert.ok(line.includes('Group::"reader"'), `the error stands under: ${line}`);
  assert.match(await note.innerText(), /reader/);
  await page.getByText("1 error", { exact: true }).waitFor();
  assert.ok(await activate.isDisabled(), "what is broken cannot be activated");
  await isAccessible(page);

  // Mended as it proposes. The rule now says too much, and the tests beside it say so.
  await note.getByRole("button", { name: /Replace .* with .*readers/ }).click();
  await page.getByRole("link", { name: "1 of 10 tests fails" }).waitFor();
  assert.equal(await page.getByRole("note").count(), 0);
  assert.ok(await activate.isDisabled(), "what fails its tests cannot be activated");
  assert.equal(await writes(reader), 403, "a draft decides nothing");

  // Half a rule is a mistake where it ends.
  await editor.click();
  await page.keyboard.press("Control+End");
  await page.keyboard.insertText("permit (principal");
  await note.waitFor();
  await page.keyboard.press("Control+z");
  await page.getByRole("link", { name: "1 of 10 tests fails" }).waitFor();

  await page.keyboard.press("Control+End");
  for (let back = 0; back < 2; back++) await page.keyboard.press("Backspace");
  await page.keyboard.insertText('\nwhen { resource.study == "S-15" };\n');
  await page.getByText("All 10 tests pass").waitFor();
  await button(page, "Changes").click();
  await isAccessible(page);
  await activate.click();
  const dialog = page.getByRole("dialog", { name: "Activate this draft?" });
  await isAccessible(page);
  await dialog.getByLabel("Note").fill("Readers report the cleaning");
  await dialog.getByRole("button", { name: "Activate 1 change" }).click();
  await page.getByRole("heading", { name: "Version 2 decides" }).waitFor();
  await isAccessible(page);

  // The very next request obeys.
  assert.ok((await writes(reader)) < 400);
  await reader.getByText("Swab 1").first().waitFor();

  // And back.
  await page.getByRole("row", { name: /^1 / }).getByRole("link").click();
  await button(page, "Go back to version 1").click();
  await isAccessible(page);
  await page.getByRole("dialog").getByRole("button", { name: /version 1/ }).click();
  await page.getByRole("heading", { name: "Version 1 decides" }).waitFor();
  assert.equal(await writes(reader), 403);
  reader.isClean();
  await reader.leave();
});

story("someone_is_invited_signs_in_and_is_suspended", async (page) => {
  await go(page, "Users");
  await button(page, "Invite a user").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("E-mail").fill("kim@acme.example");
  await dialog.getByLabel("Name").fill("Kim Kemp");
  await dialog.getByLabel("Readers").check();
  await isAccessible(page);
  await dialog.getByRole("button", { name: "Invite and show the link" }).click();
  const link = await dialog.getByLabel("Invitation link").inputValue();
  assert.ok(link.startsWith(demo.at("acme", "/sign-in/invitation/")), link);
  await isAccessible(page);
  await dialog.getByRole("button", { name: "Done" }).click();

  const kim = await accept(link, "kim@acme.example");
  await kim.goto(demo.at("records.acme", "/studies"));
  await kim.getByText("Kim Kemp · assurance 1").waitFor();
  const twice = await openWindow(browser);
  await twice.goto(link);
  await twice.getByRole("heading", { name: "This link no longer works" }).waitFor();
  await isAccessible(twice);
  await twice.leave();

  await page.getByRole("link", { name: "Kim Kemp" }).click();
  await page.getByRole("complementary", { name: "User" }).getByRole("heading", { name: "Sessions" }).waitFor();
  await isAccessible(page);
  await button(page, "Suspend Kim Kemp").click();
  await isAccessible(page);
  await page.getByRole("dialog").getByRole("button", { name: "Suspend Kim Kemp" }).click();
  await page.getByRole("button", { name: "Let Kim Kemp sign in again" }).waitFor();
  await page.getByText("Not signed in anywhere.").waitFor();

  // The page that is open is of no use any more.
  await kim.getByRole("link", { name: "S-12" }).click();
  await kim.getByRole("heading", { name: "Your account is suspended" }).waitFor();
  await isAccessible(kim);
  await kim.getByRole("link", { name: "Use another account" }).click();
  await kim.getByRole("heading", { name: "Sign in to open Records" }).waitFor();
  // Whoever has the right password of an account that opens nothing is told no more than who has a wrong one.
  await new Person({ email: "kim@acme.example", password: PASSWORD }).signIn(kim);
  await kim.getByText(/don’t belong together/).waitFor();
  await isAccessible(kim);
  assert.ok(placeOf(kim).startsWith(demo.at("acme", "/sign-in")));
  kim.isClean();
  await kim.leave();

  await page.getByRole("button", { name: "Let Kim Kemp sign in again" }).click();
  await button(page, "Suspend Kim Kemp").waitFor();
});

story("someone_starts_over_comes_back_and_is_deleted", async (page) => {
  const { url } = JSON.parse(await demo.cardea("--format", "json", "user", "--tenant", "acme", "invite", "lou@acme.example", "--name", "Lou Lost", "--group", "readers"));
  const lou = await accept(url, "lou@acme.example");
  await lou.goto(demo.at("records.acme", "/studies"));
  await lou.getByText("Lou Lost · assurance 1").waitFor();

  await go(page, "Users");
  await page.reload();
  await page.getByRole("link", { name: "Lou Lost" }).click();
  await button(page, "Let Lou Lost start over").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("1 factor of theirs is removed").waitFor();
  await isAccessible(page);
  await dialog.getByRole("button", { name: "Remove factors and make a link" }).click();
  const link = await dialog.getByLabel("Invitation link").inputValue();
  await isAccessible(page);
  await dialog.getByRole("button", { name: "Done" }).click();
  await page.getByText("None yet: they are chosen with the invitation").waitFor();

  // The page that is open is of no use any more; the link is.
  await lou.getByRole("link", { name: "S-12" }).click();
  await lou.getByRole("heading", { name: "Sign in to open Records" }).waitFor();
  lou.isClean();
  await lou.leave();
  const again = await accept(link, "lou@acme.example");
  await again.goto(demo.at("records.acme", "/studies"));
  await again.getByText("Lou Lost · assurance 1").waitFor();

  await button(page, "Delete Lou Lost").click();
  await isAccessible(page);
  await page.getByRole("dialog").getByRole("button", { name: "Delete Lou Lost" }).click();
  await page.getByRole("link", { name: "Lou Lost", exact: true }).waitFor({ state: "detached" });
  assert.equal(placeOf(page), demo.at("acme", "/admin/users"));
  await again.getByRole("link", { name: "S-12" }).click();
  await again.getByRole("heading", { name: "Sign in to open Records" }).waitFor();
  again.isClean();
  await again.leave();
});

story("an_address_is_tried_and_the_decision_is_shown", async (page) => {
  await go(page, "Apps");
  await page.getByRole("link", { name: "Records" }).click();
  await page.getByLabel("Method").selectOption("POST");
  await page.getByLabel("Path or URL").fill("/studies/S-12/records/R-2/approve");
  await page.getByLabel("As", { exact: true }).fill("rui@acme.example");
  await page.getByLabel("Signed in with").selectOption("1");
  await button(page, "Decide").click();
  const card = page.getByRole("region", { name: "Decision" });
  await card.getByText("Challenged", { exact: true }).waitFor();
  await card.getByText("reviewers-approve").first().waitFor();
  await card.getByText("does not hold: context.assurance >= 2").waitFor();
  await isAccessible(page);

  await page.getByLabel("Signed in with").selectOption("2");
  await button(page, "Decide").click();
  await card.getByText("Allowed", { exact: true }).waitFor();
  await page.getByLabel("As", { exact: true }).fill("ada@acme.example");
  await button(page, "Decide").click();
  await card.getByText("Denied", { exact: true }).waitFor();

  // The question stands in the address: whoever is sent it sees the same.
  await page.reload();
  await card.getByText("Denied", { exact: true }).waitFor();
});

story("the_log_is_filtered_and_an_entry_explained", async (page) => {
  const other = await openWindow(browser);
  await other.goto(demo.at("records.acme", "/studies/S-12/records/R-2"));
  await ada.signIn(other);
  await other.getByRole("button", { name: "Approve R-2" }).click();
  const id = await other.getByRole("definition").innerText();
  await other.leave();

  await go(page, "Log");
  await page.getByLabel("Any reason").selectOption({ label: "Denied" });
  await page.getByRole("button", { name: "Denied" }).click();
  const entry = page.getByRole("link", { name: "POST /studies/S-12/records/R-2/approve" }).first();
  await entry.waitFor();
  const reasons = await page.locator("tbody tr").count();
  assert.equal(await page.locator("tbody").getByText("403").count(), reasons, "only what was asked for is shown");
  await isAccessible(page);
  await entry.click();
  const details = page.getByRole("complementary", { name: "Entry" });
  await details.getByText(id).first().waitFor();
  await details.getByRole("region", { name: "Decision" }).getByText("reviewers-approve").first().waitFor();
  await isAccessible(page);

  // The back button closes it, and the filters stay.
  await page.goBack();
  await details.waitFor({ state: "detached" });
  assert.equal(new URL(page.url()).searchParams.get("reason"), "denied");
});

story("the_keyboard_alone_signs_in_and_finds_its_way", async () => {
  const page = await openWindow(browser);
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
  /** Tab after tab, until the focus stands where it is visible on something of this name. */
  const reach = async (name) => {
    for (let tabs = 0; tabs < 40; tabs++) {
      await press("Tab");
      if ((await focused()).startsWith(name)) return;
    }
    assert.fail(`\`${name}\` cannot be reached with the keyboard`);
  };

  await page.goto(demo.told.console);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.keyboard.type(ada.email);
  await press("Enter");
  await page.getByRole("heading", { name: "Enter your password" }).waitFor();
  await page.keyboard.type(ada.password);
  await press("Enter");
  await page.getByRole("heading", { name: "Confirm it’s you" }).waitFor();
  await page.keyboard.type(await ada.code());
  await press("Enter");
  await page.getByRole("heading", { name: "Overview" }).waitFor();

  await press("Tab");
  assert.equal(await focused(), "Skip to content");
  await reach("Users");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, "none", "the focus is seen");
  await press("Enter");
  await page.getByRole("heading", { name: "Users", level: 1 }).waitFor();

  await press("Control+k");
  await page.keyboard.type("policy history");
  await press("Enter");
  await page.getByRole("heading", { name: "History" }).waitFor();

  // The editor is no trap: Tab leaves it.
  await press("Control+k");
  await page.keyboard.type("Policy file");
  // The files are read when the search opens: whoever looks sees them before going on.
  await page.getByRole("option", { name: /Policy file/ }).first().waitFor();
  await press("Enter");
  const editor = page.getByRole("textbox", { name: "Text of records" });
  await editor.focus();
  await press("Tab");
  assert.equal(await editor.evaluate((one) => one.getRootNode().activeElement === one), false);
  page.isClean();
  await page.leave();
});

story("a_telephone_shows_all_of_it", async (page) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto(demo.told.console);
  for (const room of ["Overview", "Policies", "Apps", "Users", "Log"]) {
    await button(page, "Menu").click();
    await isAccessible(page);
    await go(page, room);
    await page.getByRole("heading", { name: room, level: 1 }).waitFor();
    await page.waitForLoadState("networkidle");
    const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= screen, `${room} is ${wide} px wide`);
    await isAccessible(page);
  }
});
