// A real browser without a window. Each person has a window of their own, which notes whatever a developer's tools would
// show in red: errors, reports of the content security policy, requests that failed.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

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

/**
 * Looks at a page as it is read by day and by night, on a phone and on a desk: nobody is shut out, nothing lies beyond its edge.
 * Pictures of all four go into the folder that `CARDEA_TEST_SHOTS` names, where somebody asks for them.
 */
export async function look(page, name) {
  const folder = process.env.CARDEA_TEST_SHOTS;
  if (folder) mkdirSync(folder, { recursive: true });
  const size = page.viewportSize();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 844 });
      await isAccessible(page);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.ok(!wide, `${name} is wider than ${width}`);
      if (folder) await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${width}.png`), fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(size);
}

/** Every stop of the keyboard is seen: it is in view, and drawn otherwise than when the focus was elsewhere. */
async function isSeen(page) {
  const told = await page.evaluate(() => {
    const [one, drawn] = [document.activeElement, (it) => (({ outlineStyle, outlineWidth, outlineColor, boxShadow, clipPath }) => [outlineStyle === "none" ? "" : outlineStyle + outlineWidth + outlineColor, boxShadow, clipPath].join())(getComputedStyle(it))];
    if (!one || one === document.body) return null;
    const focused = drawn(one);
    const { top, bottom, left, right, width, height } = one.getBoundingClientRect();
    // What it looks like without, as its own copy does, which nobody can come to.
    const copy = one.cloneNode(true);
    copy.inert = true;
    copy.removeAttribute("id");
    one.after(copy);
    const plain = drawn(copy);
    copy.remove();
    const inView = width > 2 && height > 2 && bottom > 0 && right > 0 && top < innerHeight && left < innerWidth;
    return { what: one.outerHTML.slice(0, 200), differs: focused !== plain, inView };
  });
  if (told) assert.ok(told.differs && told.inView, `the focus is not seen at ${page.url()}: ${JSON.stringify(told)}`);
}

/** Goes on by Tab to what is asked for, and sees each stop on the way. */
export async function tabTo(page, target) {
  await target.waitFor();
  for (let stops = 0; stops < 60; stops++) {
    await isSeen(page);
    if (await target.evaluate((one) => one === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`${target} is not reached by Tab at ${page.url()}`);
}

/** From here on, whoever uses a pointer is a complaint. */
export const withoutPointer = (page) =>
  page.context().addInitScript(() => addEventListener("pointerdown", () => console.error("a pointer was used"), { capture: true }));

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
