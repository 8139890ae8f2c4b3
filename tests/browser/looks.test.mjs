// A tenant's own face: its logo and its colour on its pages, wherever they answer, and on nobody else's.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { look, openBrowser, openWindow, tell } from "./lib/chromium.mjs";
import { startGateway } from "./lib/gateway.mjs";
import { python } from "./lib/places.mjs";

// A green bar, 96 by 32: written by Python's own zlib, as no program of ours would.
const DRAWN = `
import base64, struct, zlib
part = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
rows = b"".join(b"\\0" + bytes((20, 110, 80)) * 96 for _ in range(32))
png = b"\\x89PNG\\r\\n\\x1a\\n" + part(b"IHDR", struct.pack(">IIBBBBB", 96, 32, 8, 2, 0, 0, 0)) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
print("data:image/png;base64," + base64.b64encode(png).decode())
`;

let gateway, browser;

before(async () => {
  const logo = await python(DRAWN);
  const tenant = (at, id, more) => `id = "${id}"\nname = "${id === "lab" ? "Laboratory" : "Other House"}"\nsign_in_host = "${new URL(at(id)).hostname}"\n${more}`;
  const app = (at) => `id = "wiki"\nname = "Wiki"\nhosts = ["${new URL(at("wiki.lab")).hostname}"]\n\n[upstream]\nurl = "http://127.0.0.1:9"\n`;
  [gateway, browser] = await Promise.all([
    startGateway((at) => ({
      "resources/tenants/lab/tenant.toml": tenant(at, "lab", `accent = "#146e50"\nlogo = "${logo}"\n`),
      "resources/tenants/lab/apps/wiki.toml": app(at),
      "resources/tenants/other/tenant.toml": tenant(at, "other", ""),
    })),
    openBrowser(),
  ]);
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** What is answered there, as the page's own script would be told. */
const asks = (page, address) =>
  page.evaluate(async (address) => {
    const answer = await fetch(address);
    return [answer.status, ...["content-type", "x-content-type-options", "content-security-policy", "cache-control"].map((name) => answer.headers.get(name))];
  }, address);

test("a_tenants_logo_stands_on_its_pages_and_on_nobody_elses", async () => {
  const page = await openWindow(browser);
  await tell(
    page,
    async () => {
      const names = new Set();
      // At its sign-in host, and where its app's host has something to say.
      for (const [name, address] of [
        ["logo-sign-in", gateway.at("lab", "/sign-in")],
        ["logo-failure", gateway.at("wiki.lab", "/.cardea/callback?code=none&to=/")],
      ]) {
        await page.goto(address);
        const shown = page.locator(".brand img");
        await shown.waitFor();
        assert.equal(await shown.evaluate((one) => one.decode().then(() => one.naturalWidth)), 96, address);
        await look(page, name);
        const place = await shown.evaluate((one) => one.src);
        const [status, type, sniff, policy, kept] = await asks(page, place);
        assert.deepEqual([status, type, sniff], [200, "image/png", "nosniff"]);
        assert.match(policy, /default-src 'none'/);
        assert.match(kept, /immutable/);
        names.add(place.split("/").pop());
      }
      assert.equal(names.size, 1);
      await page.goto(gateway.at("other", "/sign-in"));
      assert.equal(await page.locator(".brand img").count(), 0);
      await page.getByText("Other House").waitFor();
      assert.equal((await asks(page, `/assets/logo/${[...names][0]}`))[0], 404);
    },
    /40\d/,
  );
  await page.leave();
});
