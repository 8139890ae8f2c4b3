// Where the stories find what they run: the binary, the browser, Python, and a folder for what they make.
// `tests/run` says all of it; a story that is run by itself finds what was built and installed last.

import { execFile, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const ROOT = resolve(import.meta.dirname, "../../..");

export const BIN = process.env.CARDEA_TEST_BIN ?? join(ROOT, "target/debug/cardea");
export const CHROMIUM = process.env.CARDEA_TEST_CHROMIUM ?? "/usr/bin/chromium";
export const PYTHON = process.env.CARDEA_TEST_PYTHON ?? join(ROOT, "target/tests-python/bin");

/** A story that hangs is a failure; a slow machine is not. */
export const PATIENCE = 60_000;

/** A new folder, and how to remove it. */
export function folder(name) {
  const path = mkdtempSync(join(process.env.CARDEA_TEST_TMP ?? tmpdir(), `cardea-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }) };
}

const [FIRST, END] = [12_000, 32_000];
let next = FIRST + Math.floor(Math.random() * (END - FIRST));

/**
 * Ports at 127.0.0.1 for servers of the tests. Nobody else is given them while this process lives: they lie below those that the
 * system gives out by itself, and sockets at another loopback address, which `tests/src/process.rs` asks for too, hold them
 * against the other tests.
 */
export async function freePorts(count) {
  const ports = [];
  for (let tries = FIRST; ports.length < count && tries < END; tries++) {
    const port = next++;
    if (next === END) next = FIRST;
    if ((await isHeld(port)) && (await isFree(port))) ports.push(port);
  }
  if (ports.length < count) throw new Error(`no port is free between ${FIRST} and ${END}`);
  return ports;
}

/** Holds a port against other tests, unless one of them does. */
const isHeld = (port) =>
  new Promise((is) => {
    const hold = createSocket("udp4").on("error", () => is(false));
    hold.bind({ port, address: "127.77.0.1", exclusive: true }, () => is(true)).unref();
  });

const isFree = (port) =>
  new Promise((is) => {
    const server = createServer().on("error", () => is(false));
    server.listen(port, "127.0.0.1", () => server.close(() => is(true)));
  });

/** Runs a program to its end; what it printed if it did what it was told, else an error that holds all it said. */
export async function run(program, args, options = {}) {
  const { stdout } = await promisify(execFile)(program, args, { timeout: PATIENCE, maxBuffer: 16 << 20, ...options }).catch((error) => {
    throw new Error(`${program} ${args.join(" ")}: ${error.code}\n${error.stdout}${error.stderr}`);
  });
  return stdout.trim();
}

/** Runs a line of Python in the environment of the tests. */
export const python = (code, ...args) => run(join(PYTHON, "python"), ["-c", code, ...args]);

/** A process that serves: what it says is kept for a failure's sake, and it is ended with the story. */
export class Service {
  #child;
  #ended;
  said = "";

  constructor(program, args, options = {}) {
    this.#child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    this.#ended = new Promise((ended) => {
      this.#child.on("error", (error) => ended((this.said += error.message)));
      this.#child.on("close", (code, signal) => ended(`it ended with ${code ?? signal}`));
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.said += text));
    }
  }

  /** The first line that it writes to its output. */
  firstLine() {
    return this.#before(
      new Promise((found) => {
        let text = "";
        this.#child.stdout.on("data", (more) => {
          text += more;
          if (text.includes("\n")) found(text.slice(0, text.indexOf("\n")));
        });
      }),
    );
  }

  /** Waits until `url` answers with success. */
  ready(url) {
    return this.#before(
      until(async () => (await fetch(url, { redirect: "manual" }).catch(() => null))?.status < 400, `${url} to answer`),
    );
  }

  /** Asks it to end, and waits for it. */
  async stop() {
    this.#child.kill("SIGTERM");
    const hard = setTimeout(() => this.#child.kill("SIGKILL"), 15_000);
    await this.#ended;
    clearTimeout(hard);
  }

  #before(what) {
    const early = this.#ended.then((how) => Promise.reject(new Error(`${how}:\n${this.said}`)));
    early.catch(() => {});
    return Promise.race([what, early]);
  }
}

/** Asks again and again until the answer is yes (then gives it), for what has no event to wait for. */
export async function until(asked, what) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const answer = await asked();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}
