// A real browser without a window. Each person has a window of their own, which notes whatever a developer's tools would
// show in red: errors, reports of the content security policy, requests that failed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

import { CHROMIUM, PATIENCE } from "./places.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Starts the browser, in a profile of its own that goes with it. */
export const openBrowser = () => chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS, chromiumSandbox: false });

/** A window for one person: no cookie is shared with another's. */
export async function openWindow(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", ...options });
  context.setDefaultTimeout(PATIENCE / 2);
  const complaints = [];
  // What a page reports to nobody is said in its console.
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`content security policy: ${event.effectiveDirective} ${event.blockedURI}`));
  });
  const pages = new WeakMap();
  context.on("page", (page) => {
    const opened = new Set();
    pages.set(page, opened);
    page.on("request", (request) => request.isNavigationRequest() && opened.add(request.url()));
    page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.stack ?? error}`));
  });
  context.on("console", (message) => {
    if (message.type() !== "error") return;
    // A page that is refused is a page: that its status is 403 is the story's to say.
    const refusedPage = message.text().startsWith("Failed to load resource") && pages.get(message.page())?.has(message.location().url);
    if (!refusedPage) complaints.push(`${message.page()?.url()}: ${message.text()} (${message.location().url})`);
  });
  const page = await context.newPage();
  return Object.assign(page, {
    /** Nothing was shown in red since the last time, but what fits `expected`. */
    isClean(expected = null) {
      const left = complaints.splice(0).filter((text) => !expected?.test(text));
      assert.deepEqual(left, [], "the browser complained");
    },
    leave: () => context.close(),
  });
}

/** Nobody is shut out of this page, as far as a program can tell (WCAG 2.2 A and AA, and axe's best practices). */
export async function isAccessible(page) {
  await page.evaluate(AXE);
  // Transitions have ended: a colour half-way is nobody's colour.
  const { violations } = await page.evaluate(async () => {
    await Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {})));
    return window.axe.run();
  });
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.map((node) => `  ${node.target.join(" ")} ${node.failureSummary}`).join("\n")}`);
  assert.deepEqual(told, [], `axe at ${page.url()}`);
}

/** Pictures of a page as it is read by day and by night, on a desk and on a phone, where somebody asks for them. */
export async function look(page, name) {
  await isAccessible(page);
  const folder = process.env.CARDEA_TEST_PICTURES;
  const size = page.viewportSize();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 844 });
      await isAccessible(page);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.ok(!wide, `${name} is wider than ${width}`);
      if (folder) await page.screenshot({ path: `${folder}/${name}-${colorScheme}-${width}.png`, fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(size);
}

/** A device that holds passkeys and knows its person: user verification, discoverable credentials. */
export async function giveAuthenticator(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  return {
    credentials: async () => (await session.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
    /** Takes in a copy of another device's passkey. */
    takes: (credential) => session.send("WebAuthn.addCredential", { authenticatorId, credential }),
    /** Whether the person touches it when asked. */
    touches: (enabled) => session.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled }),
  };
}

/** Where the page is, without the query. */
export const placeOf = (page) => page.url().split("?")[0];

/** Tells a story in a window, which must stay clean; a failure says what the person saw. */
export async function tell(page, story, expected = null) {
  try {
    await story(page);
  } catch (error) {
    const seen = await page.locator("body").innerText({ timeout: 1000 }).catch(() => "nothing");
    error.message += `\n\nat ${page.url()} the person saw:\n${seen.slice(0, 1500)}`;
    throw error;
  }
  page.isClean(expected);
}
