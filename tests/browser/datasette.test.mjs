// Datasette, which knows nothing of us, behind the gateway; people come by a certified OpenID provider. Pages, JSON and
// facets work as they do without us, what a policy denies never arrives, and who asked stands in a token that any library
// verifies.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { isAccessible, openBrowser, openWindow, placeOf } from "./lib/chromium.mjs";
import { startGateway } from "./lib/gateway.mjs";
import { python } from "./lib/places.mjs";
import { providerToBe, signInAtProvider, startDatasette, withoutTypefaces } from "./lib/services.mjs";

const POLICIES = `
@id("readers-read")
permit (principal in Group::"readers", action in Action::"read", resource in App::"lab");

@id("curators-write")
permit (principal in Group::"curators", action, resource in App::"lab");

@id("patients-are-for-curators")
forbid (principal, action, resource is Table in App::"lab")
when { resource.table like "patients*" } unless { principal is User && principal in Group::"curators" };
`;

const files = (datasette, issuer) => () => ({
  "provider.secret": "a secret of the stories\n",
  "resources/tenants/acme/tenant.toml": 'id = "acme"\nname = "Acme Laboratories"\nsign_in_host = "acme.localhost"\n',
  "resources/tenants/acme/groups/readers.toml": 'id = "readers"\nname = "Readers"\n',
  "resources/tenants/acme/groups/curators.toml": 'id = "curators"\nname = "Curators"\nparents = ["readers"]\n',
  "resources/tenants/acme/providers/work.toml": `id = "work"
name = "Work account"
issuer = "${issuer}"
client_id = "cardea"
client_secret = { file = "provider.secret" }
scopes = ["email", "profile", "groups"]
join = "open"
email_domains = ["work.example"]

[groups]
readers-at-work = "readers"
curators-at-work = "curators"
`,
  "resources/tenants/acme/apps/lab.toml": `id = "lab"
name = "Laboratory data"
hosts = ["lab.acme.localhost"]
claims = ["email", "groups"]
assertion = "request"

[upstream]
url = "${datasette}"

[[resources]]
pattern = "/lab/{table}"
type = "Table"
`,
  "resources/tenants/acme/policies/lab.cedar": POLICIES,
});

let datasette, provider, gateway, browser, lab;

before(async () => {
  const toBe = await providerToBe();
  [datasette, browser] = await Promise.all([startDatasette(), openBrowser()]);
  gateway = await startGateway(files(datasette.url, toBe.issuer));
  provider = await toBe.start(gateway.at("acme", "/sign-in/callback/work"));
  lab = (path) => gateway.at("lab.acme", path);
});

after(async () => {
  await browser?.close();
  for (const service of [gateway, provider, datasette]) await service?.stop();
});

/** A window in which `login` has opened a page of Datasette and signed in on the way. */
async function windowOf(login, path = "/lab") {
  const page = await openWindow(browser);
  await withoutTypefaces(page);
  await page.goto(lab(path));
  await page.getByRole("link", { name: "Continue with Work account" }).click();
  await signInAtProvider(page, login);
  await page.waitForURL(lab(path));
  return page;
}

/** What a script on the page gets, without following redirects. */
const fetched = (page, path, init = {}) =>
  page.evaluate(
    async ([path, init]) => {
      const answer = await fetch(path, { redirect: "manual", ...init });
      return { status: answer.status, text: await answer.text() };
    },
    [path, init],
  );

test("pages_and_facets_work_through_the_gateway", async () => {
  const page = await windowOf("rita", "/lab/samples?_facet=site");
  await page.getByRole("heading", { name: "samples" }).waitFor();
  await page.getByText("360 rows").first().waitFor();
  await page.getByRole("link", { name: "Lund" }).first().click();
  await page.getByText("120 rows where").first().waitFor();
  assert.equal(new URL(page.url()).searchParams.get("site"), "Lund");
  assert.ok(page.url().startsWith(lab("/lab/samples")), "its links lead to the gateway");
  await page.getByRole("link", { name: "1", exact: true }).first().click();
  page.isClean();
  await page.leave();
});

test("the_json_api_works_through_the_gateway", async () => {
  const page = await windowOf("rita");
  const { status, text } = await fetched(page, "/lab/samples.json?_shape=array&_facet=assay&site=Basel&_size=5");
  const rows = JSON.parse(text);
  assert.deepEqual([status, rows.length, rows[0].site], [200, 5, "Basel"]);
  const faceted = JSON.parse((await fetched(page, "/lab/samples.json?_facet=assay&_size=1")).text);
  assert.deepEqual(faceted.facet_results.assay.results.map(({ value, count }) => [value, count]).toSorted(), [["dissolution", 180], ["purity", 180]]);
  const next = new URL(faceted.next_url);
  assert.equal(next.origin, new URL(lab("/")).origin, "what it says of its own address holds outside");
  page.isClean();
  await page.leave();
});

test("an_address_typed_at_the_sign_in_page_leads_to_its_provider", async () => {
  const page = await openWindow(browser);
  await withoutTypefaces(page);
  await page.goto(lab("/lab"));
  await isAccessible(page);
  await page.getByLabel("E-mail address").fill("rita@work.example");
  await page.keyboard.press("Enter");
  await signInAtProvider(page, "rita");
  await page.waitForURL(lab("/lab"));
  page.isClean();
  await page.leave();
});

test("readers_read_but_what_they_write_never_arrives", async () => {
  const reader = await windowOf("rita", "/-/note");
  const before = datasette.received().length;
  await reader.getByLabel("Note").fill("from a reader");
  const [refused] = await Promise.all([reader.waitForResponse((answer) => answer.request().method() === "POST"), reader.getByRole("button", { name: "Keep" }).click()]);
  assert.equal(refused.status(), 403);
  await reader.getByRole("heading", { name: "You don’t have access to this" }).waitFor();
  await isAccessible(reader);
  assert.equal(datasette.received().length, before, "Datasette heard of it");
  reader.isClean();
  await reader.leave();

  const curator = await windowOf("cora", "/-/note");
  await curator.getByLabel("Note").fill("from a curator");
  await curator.getByRole("button", { name: "Keep" }).click();
  await curator.waitForURL(lab("/lab/notes"));
  const { text } = await fetched(curator, "/lab/notes.json?_shape=array");
  assert.ok(text.includes("from a curator") && !text.includes("from a reader"), text);
  curator.isClean();
  await curator.leave();
});

test("one_table_is_closed_in_every_format", async () => {
  const [reader, curator] = [await windowOf("rita"), await windowOf("cora")];
  for (const path of ["/lab/patients", "/lab/patients.json", "/lab/patients.csv", "/lab/patients?_shape=array"]) {
    assert.equal((await fetched(reader, path)).status, 403, path);
    assert.equal((await fetched(curator, path)).status, 200, path);
  }
  reader.isClean(/status of 403/);
  curator.isClean();
  await Promise.all([reader.leave(), curator.leave()]);
});

test("the_assertion_that_datasette_received_verifies_with_another_library", async () => {
  const page = await windowOf("rita");
  const spoofed = await fetched(page, "/lab/samples.json?_size=0", { headers: { "Cardea-Assertion": "forged", Cardea_Assertion: "forged" } });
  assert.equal(spoofed.status, 200);
  const { headers } = datasette.received().findLast((one) => one.path === "/lab/samples.json");
  assert.equal(headers.cookie?.includes("cardea"), undefined, "our session is nobody else's business");

  // Whoever trusts the assertion finds its keys at the app's own host, without signing in.
  const stranger = await openWindow(browser);
  const jwks = await (await stranger.goto(lab("/.cardea/jwks.json"))).text();
  const verify = `
import json, jwt, sys
token, jwks, audience, issuer = sys.argv[1:]
key = jwt.PyJWKSet.from_json(jwks)[jwt.get_unverified_header(token)["kid"]]
need = ["exp", "iat", "nbf", "aud", "iss", "sub"]
print(json.dumps(jwt.decode(token, key, algorithms=["ES256", "EdDSA"], audience=audience, issuer=issuer, options={"require": need})))
`;
  const issuer = new URL(gateway.at("acme")).origin;
  const claims = JSON.parse(await python(verify, headers["cardea-assertion"], jwks, "lab", issuer));
  assert.deepEqual([claims.email, claims.groups, claims.tenant, claims.assurance], ["rita@work.example", ["readers"], "acme", 1]);
  assert.ok(claims.exp - claims.iat <= 60, "it lives at most a minute");
  assert.equal(claims.decision, headers["x-request-id"], "the service's log and ours name the same request");

  // The refusals beside it: another service's audience, and a token that was touched.
  await assert.rejects(python(verify, headers["cardea-assertion"], jwks, "another", issuer), /InvalidAudienceError/);
  const [head, body, seal] = headers["cardea-assertion"].split(".");
  const other = Buffer.from(JSON.stringify({ ...claims, groups: ["curators"] })).toString("base64url");
  assert.notEqual(other, body);
  await assert.rejects(python(verify, [head, other, seal].join("."), jwks, "lab", issuer), /InvalidSignatureError/);

  const told = await gateway.cardea("policy", "explain", headers["x-request-id"]);
  assert.ok(told.includes("readers-read") && told.includes("rita@work.example"), told);
  page.isClean();
  stranger.isClean(/favicon/);
  await Promise.all([page.leave(), stranger.leave()]);
});

test("a_visitor_is_led_to_the_sign_in_and_a_program_is_told", async () => {
  const page = await openWindow(browser);
  const before = datasette.received().length;
  await page.goto(lab("/lab/samples"));
  assert.equal(placeOf(page), gateway.at("acme", "/sign-in"));
  await page.goto(lab("/.cardea/session"));
  const { status, text } = await fetched(page, "/lab/samples.json", { headers: { Accept: "application/json" } });
  assert.deepEqual([status, JSON.parse(text).reason], [401, "sign-in-required"]);
  assert.equal(datasette.received().length, before, "Datasette heard of it");
  page.isClean(/status of 401/);
  await page.leave();
});
