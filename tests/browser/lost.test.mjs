// What was lost opens nothing any more: a passkey taken off from another device, and a person who is suspended in the middle of
// their work.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { giveAuthenticator, look, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startDemo } from "./lib/demo.mjs";
import { startGateway } from "./lib/gateway.mjs";
import { until } from "./lib/places.mjs";

let demo, browser;

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

const heading = (page, name) => page.getByRole("heading", { name }).waitFor();

/** Adds the passkey of this window's device. */
async function adds(page, name) {
  await page.getByRole("link", { name: "Add a passkey" }).click();
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByText("Added. You can sign in with it from now on.").waitFor();
}

/** Signs in with this window's device, whether or not the browser offers it before the button is pressed. */
async function shows(page, device) {
  await device.touches(false);
  await page.goto(demo.told.sign_in);
  await heading(page, "Sign in");
  await device.touches(true);
  await page.getByRole("button", { name: "Use a passkey" }).click({ timeout: 3000 }).catch(() => {});
}

test("a_lost_passkey_is_taken_off_and_opens_nothing", async () => {
  const rui = demo.person("rui@acme.example");
  const [phone, laptop] = [await openWindow(browser, { viewport: { width: 390, height: 844 } }), await openWindow(browser)];
  const [onPhone, onLaptop] = [await giveAuthenticator(phone), await giveAuthenticator(laptop)];
  await tell(phone, async () => {
    await phone.goto(demo.at("acme", "/factors"));
    await rui.signIn(phone);
    await phone.getByRole("link", { name: "Add a passkey" }).click();
    await rui.showCode(phone);
    await phone.goto(demo.at("acme", "/factors"));
    await adds(phone, "Phone");
    await phone.getByRole("button", { name: "Sign out", exact: true }).click();
    await shows(phone, onPhone);
    await heading(phone, "Hello, Rui Reviewer");
  });

  await tell(laptop, async () => {
    await laptop.goto(demo.at("acme", "/factors"));
    await rui.signIn(laptop);
    await laptop.getByRole("link", { name: "Add a passkey" }).click();
    await rui.showCode(laptop);
    await laptop.getByLabel("Name").fill("Laptop");
    await look(laptop, "lost-passkey-1-add");
    await laptop.getByRole("button", { name: "Add a passkey" }).click();
    await laptop.getByText("Added. You can sign in with it from now on.").waitFor();
    await look(laptop, "lost-passkey-2-factors");
    await laptop.getByRole("link", { name: "Rename Laptop" }).click();
    await look(laptop, "lost-passkey-3-name");
    await laptop.getByLabel("Name").fill("Work laptop");
    await laptop.getByRole("button", { name: "Save name" }).click();
    await laptop.getByText("The new name is saved.").waitFor();
    await laptop.getByRole("link", { name: "Remove Phone" }).click();
    await heading(laptop, "Remove Phone?");
    await look(laptop, "lost-passkey-4-remove");
    await laptop.getByRole("button", { name: "Remove Phone" }).click();
    await laptop.getByText("Removed. It no longer signs you in.").waitFor();
    await look(laptop, "lost-passkey-5-removed");
  });
  assert.equal((await onLaptop.credentials()).length, 1);

  // Whoever found the phone: what was open there has ended, and the passkey is nobody's.
  await tell(phone, async () => {
    await phone.getByRole("link", { name: "Ways to sign in" }).click();
    await heading(phone, "Sign in");
    assert.equal(placeOf(phone), demo.at("acme", "/sign-in"));
    await shows(phone, onPhone);
    await phone.getByText("That passkey is not known here.").waitFor();
    await look(phone, "lost-passkey-6-found");
  }, /401/);
  await Promise.all([phone.leave(), laptop.leave()]);
});

test("the_last_way_in_is_removed_by_nobody", async () => {
  // Where no codes come by e-mail: what else opens would have to be set up first.
  const tenant = (at) => `id = "lab"\nname = "Lab"\nsign_in_host = "${new URL(at("lab")).hostname}"\n`;
  const gateway = await startGateway((at) => ({ "resources/tenants/lab/tenant.toml": tenant(at) }));
  const page = await openWindow(browser);
  await giveAuthenticator(page);
  try {
    const { url } = JSON.parse(await gateway.cardea("--format", "json", "user", "invite", "una@lab.example", "--name", "Una Onlyone"));
    await tell(page, async () => {
      await page.goto(url);
      await page.getByRole("button", { name: "Create a passkey" }).click();
      await heading(page, "Hello, Una Onlyone");
      await look(page, "last-way-in-1-no-apps");
      await page.getByRole("link", { name: "Ways to sign in" }).click();
      await page.getByText("Needed to sign in").waitFor();
      await look(page, "last-way-in-2-needed");
      // By its address, since no link leads there.
      const rename = await page.getByRole("link", { name: /^Rename/ }).getAttribute("href");
      await page.goto(new URL(rename.replace(/name$/, "remove"), page.url()).href);
      await page.getByRole("alert").waitFor();
      await look(page, "last-way-in-3-stays");
    });
  } finally {
    await page.leave();
    await gateway.stop();
  }
});

test("a_suspended_person_is_out_of_the_page_that_is_open", async () => {
  const ada = demo.person("ada@acme.example");
  const page = await openWindow(browser);
  // As an app's own script asks: again and again, from the page that is open.
  const asks = () =>
    page.evaluate(async () => {
      const answer = await fetch("/studies", { headers: { Accept: "application/json" } });
      return { status: answer.status, type: answer.headers.get("content-type"), text: await answer.text() };
    });
  await tell(page, async () => {
    await page.goto(demo.at("records.acme", "/studies"));
    await ada.signIn(page);
    await heading(page, "Studies");
    assert.equal((await asks()).status, 200);
    await demo.cardea("user", "--tenant", "acme", "suspend", ada.email);
    let last;
    await until(async () => (last = await asks()).status !== 200, "the open page to be refused");
    // Not 401: to sign in again would only lead in a circle, and the script is told so.
    assert.deepEqual([last.status, last.type, JSON.parse(last.text).reason], [403, "application/problem+json", "user-suspended"]);
    await page.getByRole("link", { name: "S-12" }).click();
    await heading(page, /suspended/i);
    await look(page, "suspended-1-next-click");
    // At the sign-in host, too, and after another sign-in with all that is right.
    await page.goto(demo.told.sign_in);
    await heading(page, /suspended/i);
    await page.context().clearCookies();
    await page.goto(demo.told.sign_in);
    await ada.signIn(page);
    await page.getByRole("alert").or(page.getByRole("heading", { name: /suspended/i })).waitFor();
    await look(page, "suspended-2-signs-in-again");
  }, /401|403/);
  await page.leave();
  assert.match(await demo.cardea("audit", "export", "--tenant", "acme"), /user-suspended/);
});
