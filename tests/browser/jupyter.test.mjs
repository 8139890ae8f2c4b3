// JupyterLab, which knows nothing of us, behind the gateway: a notebook is opened and run over the WebSocket to its kernel,
// whoever has no right to it sees nothing of it, and the socket closes with the right of the person who opened it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { isAccessible, openBrowser, openWindow } from "./lib/chromium.mjs";
import { startGateway } from "./lib/gateway.mjs";
import { startJupyter } from "./lib/services.mjs";

const PASSWORD = "seven green bottles on a wall";

const files = (jupyter) => () => ({
  "resources/tenants/acme/tenant.toml": 'id = "acme"\nname = "Acme Laboratories"\nsign_in_host = "acme.localhost"\n',
  "resources/tenants/acme/groups/analysts.toml": 'id = "analysts"\nname = "Analysts"\n',
  "resources/tenants/acme/apps/lab.toml": `id = "lab"\nname = "Notebooks"\nhosts = ["lab.acme.localhost"]\n\n[upstream]\nurl = "${jupyter}"\n`,
  "resources/tenants/acme/policies/lab.cedar": '@id("analysts-do-all")\npermit (principal in Group::"analysts", action, resource in App::"lab");\n',
});

let jupyter, gateway, browser;

before(async () => {
  [jupyter, browser] = await Promise.all([startJupyter(), openBrowser()]);
  gateway = await startGateway(files(jupyter.url));
});

after(async () => {
  await browser?.close();
  for (const service of [gateway, jupyter]) await service?.stop();
});

/** A window in which somebody new has accepted an invitation and opened the notebook. It remembers how its sockets closed. */
async function windowOf(email, ...groups) {
  const asked = ["--format", "json", "user", "--tenant", "acme", "invite", email, ...groups.flatMap((group) => ["--group", group])];
  const { url } = JSON.parse(await gateway.cardea(...asked));
  const page = await openWindow(browser);
  await page.context().addInitScript(() => {
    window.closings = [];
    window.WebSocket = class extends WebSocket {
      constructor(...args) {
        super(...args);
        this.addEventListener("close", ({ code, reason }) => window.closings.push({ url: this.url, code, reason }));
      }
    };
  });
  await page.goto(url);
  await page.locator("#password").fill(PASSWORD);
  await page.locator("#again").fill(PASSWORD);
  await page.locator("#again").press("Enter");
  await page.getByRole("heading", { name: "You’re in. Add a second way?" }).waitFor();
  await page.goto(gateway.at("lab.acme", "/lab/tree/dissolution.ipynb"));
  return page;
}

test("a_notebook_runs_through_the_gateway_and_ends_with_the_right_of_its_reader", async () => {
  const page = await windowOf("ana@acme.example", "analysts");
  const cell = page.locator(".jp-Notebook .jp-CodeCell").first();
  await cell.waitFor();
  // The kernel has said over its socket that it waits.
  await page.getByText("Python 3 (ipykernel) | Idle").waitFor();
  await cell.click();
  await page.keyboard.press("Shift+Enter");
  await cell.locator(".jp-OutputArea-output", { hasText: "mean 94.5 of 4 vessels" }).waitFor();

  await gateway.cardea("user", "--tenant", "acme", "suspend", "ana@acme.example");
  const closed = await page.waitForFunction(() => window.closings.find(({ url }) => url.includes("/api/kernels/")));
  const { url, code, reason } = await closed.jsonValue();
  assert.ok(url.startsWith(gateway.at("lab.acme", "/api/kernels/").replace("http", "ws")), url);
  assert.deepEqual([code, reason], [1008, "denied"]);
  // Whatever it tries now is refused.
  const status = await page.evaluate(async () => (await fetch("/api/kernels", { headers: { accept: "application/json" } })).status);
  assert.equal(status, 403);
  await page.leave();
});

test("who_has_no_right_to_notebooks_sees_nothing_of_them", async () => {
  const page = await windowOf("otto@acme.example");
  await page.getByRole("heading", { name: "You don’t have access to this" }).waitFor();
  await isAccessible(page);
  const opened = await page.evaluate(async (url) => {
    const socket = new WebSocket(url);
    return new Promise((told) => {
      socket.onopen = () => told("open");
      socket.onerror = () => told("refused");
    });
  }, gateway.at("lab.acme", "/api/events/subscribe").replace("http", "ws"));
  assert.equal(opened, "refused");
  page.isClean(/403/);
  await page.leave();
});
