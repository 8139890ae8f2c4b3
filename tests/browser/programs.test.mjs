// A person is asked what a program may do in their name, sees what may, takes it back, and makes an access key.

import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { after, before, test } from "node:test";

import { look, openBrowser, openWindow, tabTo, tell, withoutPointer } from "./lib/chromium.mjs";
import { startGateway } from "./lib/gateway.mjs";

const PASSWORD = "seven green bottles on a wall";
const CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

let gateway, browser, service, page;

before(async () => {
  service = createServer((asked, answer) => answer.end(`${asked.method} by ${asked.headers["remote-user"]}`));
  await new Promise((ready) => service.listen(0, "127.0.0.1", ready));
  const upstream = `http://127.0.0.1:${service.address().port}`;
  [gateway, browser] = await Promise.all([startGateway(() => files(upstream)), openBrowser()]);
  const invited = await gateway.cardea("user", "--tenant", "acme", "--format", "json", "invite", "mira@acme.example", "--name", "Mira Reader", "--group", "readers");
  page = await openWindow(browser);
  await page.goto(JSON.parse(invited).url ?? JSON.parse(invited).link);
  await page.getByLabel("New password").fill(PASSWORD);
  await page.getByLabel("The same once more").fill(PASSWORD);
  await button("Set password and continue").click();
  await page.getByRole("heading", { name: "You’re in. Add a second way?" }).waitFor();
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
  service?.close();
});

const files = (upstream) => ({
  "resources/tenants/acme/tenant.toml": 'id = "acme"\nname = "Acme Laboratories"\nsign_in_host = "acme.localhost"\naccess_key_days = 90\n',
  "resources/tenants/acme/groups/readers.toml": 'id = "readers"\nname = "Readers"\n',
  "resources/tenants/acme/apps/records.toml": `id = "records"\nname = "Records"\nhosts = ["records.acme.localhost"]\nheaders = { Remote-User = "email" }\n\n[upstream]\nurl = "${upstream}"\n`,
  "resources/tenants/acme/policies/records.cedar": '@id("readers")\npermit (principal in Group::"readers", action, resource in App::"records");\n',
  "resources/tenants/acme/clients/notebook.toml": 'id = "notebook"\nname = "Laboratory notebook"\ngrants = ["authorization_code", "device_code"]\nredirect_uris = ["http://127.0.0.1/callback"]\napps = ["records"]\nscope = ["read", "write"]\n',
});

const button = (name) => page.getByRole("button", { name, exact: true });
const heading = (name) => page.getByRole("heading", { name, exact: true }).waitFor();

/** What the gateway answers a program. */
const ask = (host, path, { method = "GET", headers = {}, form = null } = {}) =>
  new Promise((answered, failed) => {
    const url = new URL(gateway.at(host, path));
    const more = form ? { "content-type": "application/x-www-form-urlencoded" } : {};
    const asked = request({ host: "127.0.0.1", port: url.port, path, method, headers: { host: url.host, ...more, ...headers } }, (answer) => {
      let body = "";
      answer.on("data", (part) => (body += part)).on("end", () => answered({ status: answer.statusCode, body }));
    });
    asked.on("error", failed).end(form ? new URLSearchParams(form).toString() : undefined);
  });

test("a_program_asks_by_way_of_the_browser_and_is_answered_with_the_keyboard_alone", async () => {
  const callback = createServer((asked, answer) => answer.setHeader("content-type", "text/html").end(`<!doctype html><html lang="en"><title>back</title><h1>${asked.url.includes("code=") ? "It has the code" : "It was told no"}</h1></html>`));
  await new Promise((ready) => callback.listen(0, "127.0.0.1", ready));
  const back = `http://127.0.0.1:${callback.address().port}/callback`;
  const query = new URLSearchParams({ client_id: "notebook", response_type: "code", redirect_uri: back, code_challenge: CHALLENGE, code_challenge_method: "S256", scope: "read", state: "s" });
  await withoutPointer(page);
  await tell(page, async () => {
    for (const [answer, told] of [["No", "It was told no"], ["Allow", "It has the code"]]) {
      await page.goto(gateway.at("acme", `/oauth2/authorize?${query}`));
      await heading("May Laboratory notebook act for you?");
      assert.deepEqual(await page.locator(".wish dd").allInnerTexts(), ["Read", "Records"]);
      if (answer === "Allow") await look(page, "consent");
      await tabTo(page, button(answer));
      await page.keyboard.press("Enter");
      await heading(told);
    }
  });
  callback.close();
});

test("an_address_that_is_not_the_programs_is_told_here_and_leads_nowhere", async () => {
  const query = new URLSearchParams({ client_id: "notebook", response_type: "code", redirect_uri: "https://evil.example/callback", code_challenge: CHALLENGE, code_challenge_method: "S256" });
  await tell(page, async () => {
    await page.goto(gateway.at("acme", `/oauth2/authorize?${query}`));
    await heading("This link leads elsewhere");
    assert.ok(page.url().startsWith(gateway.at("acme")));
  }, /400/);
});

test("a_device_is_connected_seen_among_the_programs_and_taken_back", async () => {
  const begun = JSON.parse((await ask("acme", "/oauth2/device_authorization", { method: "POST", form: { client_id: "notebook" } })).body);
  const poll = () => ask("acme", "/oauth2/token", { method: "POST", form: { client_id: "notebook", grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: begun.device_code } });
  let token;
  await tell(page, async () => {
    await page.goto(begun.verification_uri_complete);
    await heading("Connect a device");
    await look(page, "device-code");
    assert.equal(await page.getByLabel("Code", { exact: true }).inputValue(), begun.user_code);
    await page.keyboard.press("Enter");
    await heading("May Laboratory notebook act for you?");
    await look(page, "consent-device");
    await tabTo(page, button("Allow"));
    await page.keyboard.press("Enter");
    await heading("Your device is connected");
    await look(page, "device-done");
    token = JSON.parse((await poll()).body).access_token;
    const bearer = { headers: { authorization: `Bearer ${token}` } };
    assert.deepEqual(await ask("records.acme", "/", bearer), { status: 200, body: "GET by mira@acme.example" });
    await page.goto(gateway.at("acme", "/programs"));
    await heading("Programs");
    await look(page, "programs");
    const row = page.locator(".row").filter({ hasText: "Laboratory notebook" });
    assert.match(await row.innerText(), /read write[\s\S]*Records[\s\S]*Chrome on Linux/);
    await tabTo(page, page.getByRole("button", { name: "Take back what Laboratory notebook may do" }).first());
    await page.keyboard.press("Enter");
    await page.getByText("The program may do nothing in your name any more.").waitFor();
    assert.equal((await ask("records.acme", "/", bearer)).status, 401);
  });
});

test("an_access_key_is_shown_once_works_in_a_header_and_is_removed", async () => {
  await tell(page, async () => {
    await page.goto(gateway.at("acme", "/programs"));
    await tabTo(page, page.getByRole("link", { name: "Make an access key" }));
    await page.keyboard.press("Enter");
    await heading("Make an access key");
    await look(page, "new-access-key");
    await page.getByLabel("Name").focus();
    await page.keyboard.type("Export");
    await page.keyboard.press("Enter");
    await heading("Your access key");
    await look(page, "access-key-made");
    const key = await page.locator(".copy").innerText();
    assert.match(key, /^cardea_key_[\w-]{43}$/);
    const bearer = { headers: { authorization: `Bearer ${key}` } };
    assert.deepEqual(await ask("records.acme", "/", bearer), { status: 200, body: "GET by mira@acme.example" });
    assert.equal((await ask("records.acme", "/", { method: "POST", ...bearer })).status, 403, "it is good for reading alone");
    await page.getByRole("link", { name: "I have kept it" }).focus();
    await page.keyboard.press("Enter");
    await heading("Programs");
    assert.ok(!(await page.content()).includes(key));
    await tabTo(page, page.getByRole("button", { name: "Remove Export" }));
    await page.keyboard.press("Enter");
    await page.getByText("The key opens nothing any more.").waitFor();
    assert.equal((await ask("records.acme", "/", bearer)).status, 401);
  });
});
