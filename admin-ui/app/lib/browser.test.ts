import { expect, test } from "vitest";
import { browser } from "./browser.ts";

test.each([
  ["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36", "Chrome on Linux"],
  ["Mozilla/5.0 (Windows NT 10.0) Chrome/156.0 Safari/537.36 Edg/156.0", "Edge on Windows"],
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19 Mobile Safari/604.1", "Safari on iOS"],
  ["Firefox on Linux", "Firefox on Linux"],
  ["curl/8.1", "curl/8.1"],
  ["", "Unknown browser"],
])("%s is %s", (agent, words) => expect(browser(agent)).toBe(words));
