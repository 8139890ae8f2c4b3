// The same pages for somebody who reads German: the browser says so, and from the invitation to a refusal every page is German,
// fits a telephone, and shuts nobody out.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { giveAuthenticator, look, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startDemo } from "./lib/demo.mjs";

const PASSWORD = "sieben grüne Flaschen an der Wand";
const TELEPHONE = { viewport: { width: 390, height: 844 } };
/** What the tenant wrote, in whatever language. */
const NAMES = /Acme Laboratories|Studies and their records|\S+@\S+/g;
/** Words that would have stayed English. */
const ENGLISH = /\b(the|your|you|sign|with|and|is|this|continue|password|session|access)\b/i;

let demo, browser;

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** A story in a window of a German browser, which must stay clean. */
function story(name, told, options = {}) {
  test(name, async () => {
    const page = await openWindow(browser, { locale: "de-DE", ...options });
    await tell(page, told);
    await page.leave();
  });
}

const heading = (page, name) => page.getByRole("heading", { name, exact: true }).waitFor();
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const follow = (page, name) => page.getByRole("link", { name, exact: true }).click();

/** The page is German through and through, and nothing of it is out of sight. */
async function isGerman(page, picture) {
  assert.equal(await page.locator("html").getAttribute("lang"), "de", page.url());
  const said = (await page.locator("body").innerText()).replace(NAMES, "");
  assert.doesNotMatch(said, ENGLISH, page.url());
  const { scrollWidth, clientWidth } = await page.locator("html").evaluate(({ scrollWidth, clientWidth }) => ({ scrollWidth, clientWidth }));
  assert.ok(scrollWidth <= clientWidth, `${page.url()} is ${scrollWidth} px wide`);
  const cut = await page.locator("a, button, h1, h2, p, label, strong, span, nav").evaluateAll((all) =>
    all.filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1 && getComputedStyle(one).display !== "inline").map((one) => one.outerHTML),
  );
  assert.deepEqual(cut, [], `something is cut off at ${page.url()}`);
  await look(page, `german-${picture}`);
}

/** What anybody else of the tenant's would have to do. */
async function invited(email, ...groups) {
  const told = await demo.cardea("--format", "json", "user", "--tenant", "acme", "invite", email, ...groups.flatMap((group) => ["--group", group]));
  return JSON.parse(told).url;
}

async function signIn(page, email) {
  await page.getByLabel("E-Mail-Adresse").fill(email);
  await press(page, "Weiter");
  await page.getByLabel("Passwort").fill(PASSWORD);
  await press(page, "Anmelden");
}

story(
  "a_german_telephone_goes_from_the_invitation_to_a_refusal",
  async (page) => {
    await page.goto(await invited("grete@acme.example", "readers"));
    await heading(page, "Willkommen bei Acme Laboratories");
    await isGerman(page, "invitation");
    await page.getByLabel("Neues Passwort").fill(PASSWORD);
    await page.getByLabel("Dasselbe noch einmal").fill("etwas ganz anderes");
    await press(page, "Passwort festlegen und weiter");
    await page.getByText("Die beiden Passwörter sind verschieden.").waitFor();
    await isGerman(page, "invitation-wrong");
    await page.getByLabel("Neues Passwort").fill(PASSWORD);
    await page.getByLabel("Dasselbe noch einmal").fill(PASSWORD);
    await press(page, "Passwort festlegen und weiter");
    await heading(page, "Sie sind angemeldet. Zweite Methode hinzufügen?");
    await isGerman(page, "second-factor");

    await follow(page, "Nicht jetzt");
    await heading(page, "Guten Tag, grete@acme.example");
    await isGerman(page, "portal");
    await page.goto(demo.at("acme", "/factors"));
    await heading(page, "Anmeldemethoden");
    await isGerman(page, "factors");
    await page.goto(demo.at("acme", "/sessions"));
    await heading(page, "Sitzungen");
    await page.getByText("Chrome (Linux)").waitFor();
    await isGerman(page, "sessions");
    await press(page, "Überall abmelden");
    await heading(page, "Sie sind überall abgemeldet");
    await isGerman(page, "signed-out");

    // Signed in again on the way to an app, which refuses what readers may not.
    await page.goto(demo.at("records.acme", "/studies/S-12/records/R-2"));
    await heading(page, "Anmelden, um Records zu öffnen");
    await isGerman(page, "sign-in");
    await signIn(page, "grete@acme.example");
    const [answer] = await Promise.all([page.waitForResponse(/\/approve$/), press(page, "Approve R-2")]);
    assert.deepEqual([answer.status(), answer.headers()["content-language"]], [403, "de"]);
    assert.match(answer.headers().vary, /Accept-Language/);
    await heading(page, "Darauf haben Sie keinen Zugriff");
    await page.getByText("Angemeldet als grete@acme.example").waitFor();
    await isGerman(page, "denied");
  },
  TELEPHONE,
);

story(
  "what_went_wrong_is_told_in_german_by_pages_and_by_their_script",
  async (page) => {
    await giveAuthenticator(page);
    await page.goto(demo.told.sign_in);
    await press(page, "Passkey verwenden");
    await page.getByText("Versuchen Sie es erneut oder nutzen Sie eine andere Methode.").waitFor();
    await isGerman(page, "sign-in-without-passkey");
    await page.getByLabel("E-Mail-Adresse").fill("niemand@acme.example");
    await press(page, "Weiter");
    await heading(page, "Passwort eingeben");
    await isGerman(page, "password");
    await page.getByLabel("Passwort").fill("not this one at all");
    await press(page, "Anmelden");
    await page.getByText("E-Mail-Adresse und Passwort passen nicht zusammen.").waitFor();
    await isGerman(page, "password-wrong");
    await page.goto(demo.at("acme", "/sign-in/invitation/nobody-was-given-this"));
    await heading(page, "Dieser Link gilt nicht mehr");
    await isGerman(page, "code-spent");
    await page.goto(demo.at("nobody"));
    await heading(page, "Unter dieser Adresse gibt es keine Website");
    await isGerman(page, "unknown-host");
  },
  TELEPHONE,
);

story("a_step_up_asks_in_german_and_leads_back", async (page) => {
  const device = await giveAuthenticator(page);
  await page.goto(await invited("hanno@acme.example", "reviewers"));
  await device.touches(false);
  await page.getByLabel("Neues Passwort").fill(PASSWORD);
  await page.getByLabel("Dasselbe noch einmal").fill(PASSWORD);
  await press(page, "Passwort festlegen und weiter");

  // Reviewers confirm an approval with a second factor, and this one has none yet.
  await page.goto(demo.at("records.acme", "/studies/S-12/records/R-2"));
  await press(page, "Approve R-2");
  await heading(page, "Darauf haben Sie keinen Zugriff");
  await page.getByText("Fügen Sie Ihrem Konto zuerst einen zweiten Faktor hinzu").waitFor();
  await isGerman(page, "denied-without-factor");
  await follow(page, "Zweiten Faktor hinzufügen");
  await page.getByRole("link", { name: "Passkey hinzufügen" }).click();
  await page.getByLabel("Name").fill("Dienst-Laptop");
  await isGerman(page, "enrol-passkey");
  await device.touches(true);
  await press(page, "Passkey hinzufügen");
  await page.getByText("Hinzugefügt. Ab jetzt können Sie sich damit anmelden.").waitFor();
  await isGerman(page, "factors-two");

  // By the password alone, the approval asks for more.
  await press(page, "Abmelden");
  const record = demo.at("records.acme", "/studies/S-12/records/R-2");
  await device.touches(false);
  await page.goto(record);
  await isGerman(page, "sign-in");
  await signIn(page, "hanno@acme.example");
  await page.waitForURL(record);
  await press(page, "Approve R-2");
  await heading(page, "Identität bestätigen");
  await page.getByText("Records verlangt dafür einen stärkeren Nachweis.").waitFor();
  await isGerman(page, "step-up-required");
  await follow(page, "Identität bestätigen");
  await heading(page, "Identität bestätigen");
  assert.equal(placeOf(page), demo.at("acme", "/sign-in/step-up"));
  await isGerman(page, "step-up");
  await device.touches(true);
  await press(page, "Passkey verwenden");
  await page.waitForURL(record);
});

story(
  "whoever_asks_for_english_first_is_answered_in_english",
  async (page) => {
    await page.goto(demo.told.sign_in);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.equal(await page.locator("html").getAttribute("lang"), "en");
  },
  { locale: "en-GB", extraHTTPHeaders: { "Accept-Language": "en-GB,en;q=0.9,de;q=0.8" } },
);
