// Somebody of the pool links an account at a provider to theirs, in a real browser: the form's way leads to another origin, which the
// page's own policy has to let it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { look, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { startGateway } from "./lib/gateway.mjs";
import { providerToBe, signInAtProvider, withoutTypefaces } from "./lib/services.mjs";

const MIRA = { email: "mira@acme.example", password: "seven green bottles on a wall" };

const files = (issuer) => () => ({
  "provider.secret": "a secret of the stories\n",
  "resources/tenants/acme/tenant.toml":
    'id = "acme"\nname = "Acme Laboratories"\nsign_in_host = "acme.localhost"\n\n[factors]\nenrol = "sign-in"\n',
  "resources/tenants/acme/providers/work.toml": `id = "work"
name = "Work account"
issuer = "${issuer}"
client_id = "cardea"
client_secret = { file = "provider.secret" }
link = true
`,
});

let provider, gateway, browser;

before(async () => {
  const toBe = await providerToBe();
  browser = await openBrowser();
  gateway = await startGateway(files(toBe.issuer));
  provider = await toBe.start(gateway.at("acme", "/sign-in/callback/work"));
});

after(async () => {
  await browser?.close();
  for (const service of [gateway, provider]) await service?.stop();
});

async function joins(page) {
  const invited = await gateway.cardea("--format", "json", "user", "--tenant", "acme", "invite", MIRA.email, "--name", "Mira");
  await page.goto(JSON.parse(invited).url);
  await page.getByLabel("New password").fill(MIRA.password);
  await page.getByLabel("The same once more").fill(MIRA.password);
  await page.getByRole("button", { name: "Set password and continue" }).click();
  await page.getByText("Add a second way?").waitFor();
}

test("an_account_is_linked_on_the_way_through_the_provider_and_signs_in_from_then_on", async () => {
  const page = await openWindow(browser);
  await withoutTypefaces(page);
  await tell(page, async () => {
    await joins(page);
    await page.goto(gateway.at("acme", "/factors"));
    await page.getByRole("link", { name: "Link an account at Work account" }).click();
    await page.getByRole("heading", { name: "Link an account at Work account" }).waitFor();
    await look(page, "link-account");
    await page.getByRole("button", { name: "Go on to Work account" }).click();
    await signInAtProvider(page, "gus");
    await page.getByText("Linked. You can sign in with it from now on.").waitFor();
    await look(page, "factors-linked");
  });
  await page.leave();

  const elsewhere = await openWindow(browser);
  await withoutTypefaces(elsewhere);
  await tell(elsewhere, async () => {
    await elsewhere.goto(gateway.at("acme", "/"));
    await elsewhere.getByRole("link", { name: "Continue with Work account" }).click();
    await signInAtProvider(elsewhere, "gus");
    await elsewhere.waitForURL(gateway.at("acme", "/"));
    await elsewhere.goto(gateway.at("acme", "/factors"));
    await elsewhere.getByRole("link", { name: "Remove Work account" }).click();
    await elsewhere.getByRole("button", { name: "Remove Work account" }).click();
    await elsewhere.getByText("Removed. It no longer signs you in.").waitFor();
    assert.equal(placeOf(elsewhere), gateway.at("acme", "/factors"));
  });
  await elsewhere.leave();
});
