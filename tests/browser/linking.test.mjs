// Somebody of the pool links an account at a provider to theirs, in a real browser: the form's way leads to another origin, which the
// page's own policy has to let it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { look, openBrowser, openWindow, placeOf, tell } from "./lib/chromium.mjs";
import { joins, startGatewayAndProvider } from "./lib/linking.mjs";
import { signInAtProvider, withoutTypefaces } from "./lib/services.mjs";

let gateway, browser;

before(async () => {
  [gateway, browser] = await Promise.all([startGatewayAndProvider(), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
});

test("an_account_is_linked_on_the_way_through_the_provider_and_signs_in_from_then_on", async () => {
  const page = await openWindow(browser);
  await withoutTypefaces(page);
  await tell(page, async () => {
    await joins(page, await gateway.invites("mira@acme.example", "Mira"));
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
