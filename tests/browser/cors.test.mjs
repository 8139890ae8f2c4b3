// Pages of other origins in a real browser: what an app declares is what a page of another origin may do with it, and a page
// that it does not name reads nothing, whoever sits before it.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { openBrowser, openWindow } from "./lib/chromium.mjs";
import { startGateway } from "./lib/gateway.mjs";
import { until } from "./lib/places.mjs";

const PASSWORD = "seven green bottles on a wall";

const POLICIES = `
@id("readers-do-all")
permit (principal in Group::"readers", action, resource in App::"data");

@id("anybody-reads-what-is-open")
permit (principal, action in Action::"read", resource in App::"open");
`;

/** An app in front of `service`; `more` are its tables. */
const app = (id, service, more) => `id = "${id}"
name = "${id}"
hosts = ["${id}.acme.localhost"]
${more}
[upstream]
url = "http://127.0.0.1:${service}"
`;

let service, pages, gateway, browser, page, data;
/** What the service heard: `GET /x`. */
const heard = [];

/** A server on loopback that answers everything in one way. */
async function serve(answer) {
  const server = createServer(answer);
  await new Promise((held) => server.listen(0, "127.0.0.1", held));
  return { port: server.address().port, stop: () => server.close() };
}

before(async () => {
  service = await serve((request, response) => {
    heard.push(`${request.method} ${request.url}`);
    // It lets every page in, as many do; what the app declares is what counts.
    const open = { "access-control-allow-origin": request.headers.origin ?? "*", "access-control-allow-credentials": "true" };
    response.writeHead(200, { "content-type": "application/json", "x-total": "3", "x-secret": "42", ...open });
    response.end(JSON.stringify({ known: request.headers["remote-user"] ?? null }));
  });
  pages = await serve((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>A page</title>"));
  const declared = `websocket_origins = []
[headers]
Remote-User = "email"
[cors]
origins = ["http://bench.acme.localhost:${pages.port}"]
methods = ["GET", "PUT"]
headers = ["Content-Type"]
exposed = ["X-Total"]
credentials = true
`;
  gateway = await startGateway(() => ({
    "resources/tenants/acme/tenant.toml": 'id = "acme"\nname = "Acme Laboratories"\nsign_in_host = "acme.localhost"\n',
    "resources/tenants/acme/groups/readers.toml": 'id = "readers"\nname = "Readers"\n',
    "resources/tenants/acme/apps/data.toml": app("data", service.port, declared),
    "resources/tenants/acme/apps/open.toml": app("open", service.port, '[cors]\norigins = ["*"]\n'),
    "resources/tenants/acme/policies/data.cedar": POLICIES,
  }));
  data = gateway.at("data.acme", "/records/1");
  browser = await openBrowser();
  page = await openWindow(browser);
  await signIn();
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
  for (const server of [service, pages]) server?.stop();
});

/** Rea accepts her invitation and opens the app, which gives its host a session of its own. */
async function signIn() {
  const invited = await gateway.cardea("--format", "json", "user", "--tenant", "acme", "invite", "rea@acme.example", "--group", "readers");
  await page.goto(JSON.parse(invited).url);
  await page.getByLabel("New password").fill(PASSWORD);
  await page.getByLabel("The same once more").fill(PASSWORD);
  await page.getByRole("button", { name: "Set password and continue" }).click();
  await page.getByRole("heading", { name: "You’re in. Add a second way?" }).waitFor();
  await page.goto(data);
  assert.deepEqual(JSON.parse(await page.locator("pre").innerText()), { known: "rea@acme.example" });
  page.isClean(/favicon/);
  heard.length = 0;
}

/** Opens a page at `host`, in the window of somebody who is signed in. */
const at = (host) => page.goto(`http://${host}.localhost:${pages.port}/`);

/** What a script of the page gets to read: a status, the body and two headers; or that the browser gave it nothing. */
const read = (url, init = {}) =>
  page.evaluate(
    async ([url, init]) => {
      const answer = await fetch(url, init).catch((error) => error);
      if (answer instanceof Error) return answer.name;
      return { status: answer.status, body: await answer.json(), total: answer.headers.get("x-total"), secret: answer.headers.get("x-secret") };
    },
    [url, init],
  );

const WITH_SESSION = { credentials: "include" };
const JSON_BODY = { headers: { "content-type": "application/json" }, body: "{}" };

test("a_page_that_is_named_reads_with_the_person_s_session", async () => {
  await at("bench.acme");
  assert.deepEqual(await read(data, WITH_SESSION), { status: 200, body: { known: "rea@acme.example" }, total: "3", secret: null });
  assert.deepEqual(heard.splice(0), ["GET /records/1"]);
  page.isClean();
});

test("without_a_session_it_reads_why_not", async () => {
  await at("bench.acme");
  const answer = await read(data, { credentials: "omit" });
  assert.deepEqual([answer.status, answer.body.reason], [401, "sign-in-required"]);
  assert.deepEqual(heard.splice(0), []);
  page.isClean(/401/);
});

test("a_preflight_is_permitted_by_a_policy_and_never_reaches_the_service", async () => {
  await at("bench.acme");
  const answer = await read(data, { method: "PUT", ...WITH_SESSION, ...JSON_BODY });
  assert.deepEqual([answer.status, answer.body], [200, { known: "rea@acme.example" }]);
  assert.deepEqual(heard.splice(0), ["PUT /records/1"]);
  const named = async () => (await gateway.cardea("audit", "export", "--tenant", "acme")).includes("built-in/preflight-data");
  await until(named, "the entry that names the policy");
  page.isClean();
});

test("a_preflight_for_what_is_not_declared_is_denied", async () => {
  await at("bench.acme");
  for (const init of [
    { method: "DELETE", ...WITH_SESSION },
    { method: "PUT", ...WITH_SESSION, headers: { "x-other": "1" } },
  ]) {
    assert.equal(await read(data, init), "TypeError", JSON.stringify(init));
  }
  assert.deepEqual(heard.splice(0), []);
  page.isClean(/CORS policy|net::ERR_FAILED/);
});

test("a_page_that_is_not_named_reads_nothing_though_its_site_is_the_same", async () => {
  for (const host of ["evil.acme", "evil-bench.acme", "bench.acme.evil"]) {
    await at(host);
    assert.equal(await read(data, WITH_SESSION), "TypeError", host);
    heard.length = 0;
    assert.equal(await read(data, { method: "PUT", ...WITH_SESSION, ...JSON_BODY }), "TypeError", host);
    assert.deepEqual(heard.splice(0), [], `${host} changed something`);
  }
  page.isClean(/CORS policy|net::ERR_FAILED/);
});

test("a_sandboxed_page_is_nobody", async () => {
  await at("bench.acme");
  const told = await page.evaluate(
    (url) =>
      new Promise((told) => {
        addEventListener("message", ({ data, origin }) => told([data, origin]));
        const frame = document.createElement("iframe");
        frame.sandbox = "allow-scripts";
        frame.srcdoc = `<script>fetch("${url}", { credentials: "include" }).then((a) => a.text(), (e) => e.name).then((t) => parent.postMessage(t, "*"))</script>`;
        document.body.append(frame);
      }),
    data,
  );
  assert.deepEqual(told, ["TypeError", "null"]);
  heard.length = 0;
  page.isClean(/CORS policy|net::ERR_FAILED/);
});

test("what_is_open_to_any_page_is_open_to_a_visitor_only", async () => {
  const open = gateway.at("open.acme", "/x");
  await at("anywhere");
  assert.deepEqual((await read(open)).body, { known: null });
  assert.equal(await read(open, WITH_SESSION), "TypeError", "a browser takes no `*` with a session");
  heard.length = 0;
  page.isClean(/CORS policy|net::ERR_FAILED/);
});
