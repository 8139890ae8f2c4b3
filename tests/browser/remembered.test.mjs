// Somebody has their browser remembered, by each second factor that a page asks for; sees it in the list, and has it forgotten. One
// reads English, and one German.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { giveAuthenticator, look, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startGateway } from "./lib/gateway.mjs";
import { Person } from "./lib/people.mjs";

const PASSWORD = "seven green bottles on a wall";
const TENANT = 'id = "acme"\nname = "Acme Laboratories"\nsign_in_host = "acme.localhost"\n\n[factors]\nminimum = 2\nremember_days = 30\n';

let gateway, browser;

before(async () => {
  [gateway, browser] = await Promise.all([startGateway(() => ({ "resources/tenants/acme/tenant.toml": TENANT })), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
});

const press = (page, name) => page.getByRole("button", { name, exact: true }).first().click();
const heading = (page, name) => page.getByRole("heading", { name }).waitFor();

async function invited(email, name) {
  const told = await gateway.cardea("--format", "json", "user", "--tenant", "acme", "invite", email, "--name", name);
  return JSON.parse(told).url;
}

test("a_browser_in_which_a_passkey_was_shown_beside_the_password_is_asked_for_that_alone_until_it_is_forgotten", async () => {
  const page = await openWindow(browser);
  const mira = new Person({ tenant: "acme", email: "mira@acme.example", password: PASSWORD });
  const signsIn = async () => {
    await press(page, "Sign out");
    await page.goto(gateway.at("acme", "/"));
    await mira.signIn(page);
  };
  await tell(page, async () => {
    const device = await giveAuthenticator(page);
    await device.touches(false);
    await page.goto(await invited(mira.email, "Mira Miller"));
    await page.getByLabel("New password").fill(PASSWORD);
    await page.getByLabel("The same once more").fill(PASSWORD);
    await press(page, "Set password and continue");
    await page.goto(gateway.at("acme", "/factors"));
    await page.getByRole("link", { name: "Add a passkey" }).click();
    await page.getByLabel("Name").fill("Work laptop");
    await device.touches(true);
    await press(page, "Add a passkey");
    await page.getByText("Added. You can sign in with it from now on.").waitFor();
    // From here on the browser offers nothing by itself where an address is typed.
    await device.touches(false);

    // The box stands beside the codes, and holds for the passkey, too.
    await signsIn();
    const box = page.getByLabel("Don’t ask again on this device for 30 days");
    await box.waitFor();
    await look(page, "code-remember");
    await box.check();
    await device.touches(true);
    await press(page, "Use a passkey instead");
    await heading(page, "Hello, Mira Miller");
    await device.touches(false);

    await signsIn();
    await heading(page, "Hello, Mira Miller");
    await page.goto(gateway.at("acme", "/sessions"));
    await heading(page, "Remembered devices");
    await look(page, "sessions-remembered");
    await press(page, "Forget Chrome on Linux");
    await page.getByText("Forgotten. The next sign-in there asks for your second proof again.").waitFor();
    assert.equal(await page.getByRole("heading", { name: "Remembered devices" }).count(), 0);
    await page.goto(gateway.at("acme", "/activity"));
    await page.getByText("Device remembered: Chrome on Linux").waitFor();
    await page.getByText("Remembered devices forgotten").waitFor();
    await look(page, "activity-remembered");

    await signsIn();
    await box.waitFor();
    assert.equal(placeOf(page), gateway.at("acme", "/sign-in/totp"));
    assert.equal(await box.isChecked(), false, "nobody ticked it");
  });
  await page.leave();
});

test("a_german_telephone_is_remembered_by_a_code", async () => {
  const page = await openWindow(browser, { locale: "de-DE", viewport: { width: 390, height: 844 } });
  const grete = new Person({ tenant: "acme", email: "grete@acme.example", password: PASSWORD });
  const signsIn = async () => {
    await press(page, "Abmelden");
    await page.goto(gateway.at("acme", "/"));
    await page.getByLabel("E-Mail-Adresse").fill(grete.email);
    await press(page, "Weiter");
    await page.getByLabel("Passwort").fill(PASSWORD);
    await press(page, "Anmelden");
  };
  await tell(page, async () => {
    await page.goto(await invited(grete.email, "Grete Groß"));
    await page.getByLabel("Neues Passwort").fill(PASSWORD);
    await page.getByLabel("Dasselbe noch einmal").fill(PASSWORD);
    await press(page, "Passwort festlegen und weiter");
    await page.goto(gateway.at("acme", "/factors/totp"));
    grete.totp = (await page.locator(".copy").innerText()).replaceAll(/\s/g, "");
    await page.getByLabel("Einmalcode").fill(await grete.code());
    await page.getByLabel("Einmalcode").press("Enter");
    await page.waitForURL(/\/factors\?done=/);

    await signsIn();
    const box = page.getByLabel("Auf diesem Gerät 30 Tage lang nicht mehr fragen");
    await box.check();
    await look(page, "german-code-remember");
    // What was ticked is ticked still where the code was a wrong one.
    await page.getByLabel("Einmalcode").fill("000000");
    await press(page, "Bestätigen");
    await page.getByRole("alert").waitFor();
    assert.equal(await box.isChecked(), true);
    await look(page, "german-code-remember-wrong");
    await page.getByLabel("Einmalcode").fill(await grete.code());
    await press(page, "Bestätigen");
    await heading(page, "Guten Tag, Grete Groß");

    await signsIn();
    await heading(page, "Guten Tag, Grete Groß");
    await page.goto(gateway.at("acme", "/sessions"));
    await heading(page, "Gemerkte Geräte");
    await look(page, "german-sessions-remembered");
  });
  await page.leave();
});
