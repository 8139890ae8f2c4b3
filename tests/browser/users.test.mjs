// The console's list of people: who signs in with what, and who lacks the second factor that the tenant wants.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { giveAuthenticator, look, openBrowser, openWindow, tell } from "./lib/chromium.mjs";
import { joins, startGatewayAndProvider, TENANT } from "./lib/linking.mjs";
import { signInAtProvider, withoutTypefaces } from "./lib/services.mjs";

const MORE = {
  "resources/tenants/acme/tenant.toml": `${TENANT}must_enrol = true\n`,
  "resources/tenants/acme/groups/administrators.toml": 'id = "administrators"\nname = "Administrators"\n',
};

let gateway, browser;

before(async () => {
  [gateway, browser] = await Promise.all([startGatewayAndProvider(MORE), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** Joins with a password, and links an account at the provider in the same session. */
async function mira() {
  const page = await openWindow(browser);
  await withoutTypefaces(page);
  await tell(page, async () => {
    await joins(page, await gateway.invites("mira@acme.example", "Mira Reader"));
    await page.goto(gateway.at("acme", "/factors/with/work"));
    await page.getByRole("button", { name: "Go on to Work account" }).click();
    await signInAtProvider(page, "gus");
    await page.getByText("Linked. You can sign in with it from now on.").waitFor();
  });
  await page.leave();
}

test("the_list_tells_who_lacks_a_second_factor_and_the_details_which_accounts_are_linked", async () => {
  await mira();
  const page = await openWindow(browser);
  await giveAuthenticator(page);
  await tell(page, async () => {
    await page.goto(await gateway.invites("ada@acme.example", "Ada Keeper", "administrators"));
    await page.getByRole("button", { name: "Create a passkey" }).click();
    await page.getByRole("heading", { name: /Ada/ }).waitFor();
    await page.goto(gateway.at("acme", "/admin/users"));
    const rows = page.locator("tbody tr");
    await rows.nth(1).waitFor();
    const row = rows.filter({ hasText: "mira@acme.example" });
    await row.getByText("Password, Account at work").waitFor();
    await row.getByText("No second factor").waitFor();
    assert.equal(await rows.filter({ hasText: "ada@acme.example" }).getByText("No second factor").count(), 0);
    await look(page, "users-factors");

    await page.getByRole("button", { name: "No second factor" }).click();
    await rows.filter({ hasText: "ada@acme.example" }).waitFor({ state: "detached" });
    assert.equal(await rows.count(), 1);
    await page.getByRole("link", { name: "Mira Reader" }).click();
    const account = page.getByRole("region", { name: "Accounts at providers" });
    await account.getByText("Linked by themselves").waitFor();
    assert.match(await account.innerText(), /work.*used never/is);
    await look(page, "user-accounts");
    await page.goto(gateway.at("acme", "/admin/users?status=invited&lacking=second"));
    await page.getByText("Nobody fits").waitFor();
  });
  await page.leave();

  const told = await gateway.cardea("user", "--tenant", "acme", "list");
  assert.match(told, /mira@acme\.example .* password,at:work /);
  const card = await gateway.cardea("user", "show", "mira@acme.example");
  assert.match(card, /account  `.*` at work, linked by themselves, since .*, never used/);
  assert.match(card, /no second factor, which the tenant wants/);
});
