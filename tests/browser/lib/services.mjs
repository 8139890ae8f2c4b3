// Services that were not made for Cardea: Datasette in front of a real SQLite file, JupyterLab, and an OpenID provider.

import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { folder, freePorts, python, PYTHON, Service } from "./places.mjs";

const TESTS = resolve(import.meta.dirname, "../..");

/** A laboratory's samples, its patients and its notes. */
const DATABASE = `
import itertools, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript("""
  create table samples (id integer primary key, site text, assay text, result real, taken text);
  create table patients (id integer primary key, name text);
  create table notes (id integer primary key, note text);
""")
sites, assays = ["Basel", "Lund", "Porto"], ["dissolution", "purity"]
rows = [(n, sites[n % 3], assays[n % 2], 80 + n % 17, f"2026-0{1 + n % 6}-1{n % 10}") for n in range(1, 361)]
db.executemany("insert into samples values (?, ?, ?, ?, ?)", rows)
db.execute("insert into patients values (1, 'Not for readers')")
db.commit()
`;

/** Starts Datasette. `received()` gives what each request brought, as its plugin wrote it down. */
export async function startDatasette() {
  const place = folder("datasette");
  const [database, log] = [join(place.path, "lab.db"), join(place.path, "requests")];
  await python(DATABASE, database);
  const [port] = await freePorts(1);
  const args = ["serve", database, "--host", "127.0.0.1", "--port", String(port), "--plugins-dir", join(TESTS, "services/datasette")];
  const env = { ...process.env, WITNESS_LOG: log, PYTHONDONTWRITEBYTECODE: "1" };
  const service = new Service(join(PYTHON, "datasette"), args, { env });
  await service.ready(`http://127.0.0.1:${port}/-/versions.json`);
  return {
    url: `http://127.0.0.1:${port}`,
    received: () => readFileSync(log, "utf8").trim().split("\n").map((line) => JSON.parse(line)),
    stop: async () => {
      await service.stop();
      place.remove();
    },
  };
}

const NOTEBOOK = {
  nbformat: 4,
  nbformat_minor: 5,
  metadata: { kernelspec: { name: "python3", display_name: "Python 3", language: "python" } },
  cells: [
    {
      id: "mean",
      cell_type: "code",
      execution_count: null,
      metadata: {},
      outputs: [],
      source: 'vessels = [93, 95, 94, 96]\nprint("mean", sum(vessels) / len(vessels), "of", len(vessels), "vessels")',
    },
  ],
};

/** Starts JupyterLab with one notebook. It asks nobody who they are: that is the gateway's to know. */
export async function startJupyter() {
  const place = folder("jupyter");
  writeFileSync(join(place.path, "dissolution.ipynb"), JSON.stringify(NOTEBOOK));
  const [port] = await freePorts(1);
  const settings = { "ServerApp.port": port, "ServerApp.port_retries": 0, "ServerApp.root_dir": place.path, "ServerApp.allow_remote_access": true, "IdentityProvider.token": "", "LabApp.news_url": "", "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate" };
  const args = ["-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`)];
  // Nothing of the person who runs the tests is read or written.
  const own = { JUPYTER_CONFIG_DIR: join(place.path, ".config"), JUPYTER_DATA_DIR: join(place.path, ".data"), JUPYTER_RUNTIME_DIR: join(place.path, ".runtime"), IPYTHONDIR: join(place.path, ".ipython") };
  const service = new Service(join(PYTHON, "python"), args, { cwd: place.path, env: { ...process.env, ...own } });
  await service.ready(`http://127.0.0.1:${port}/api`);
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      await service.stop();
      place.remove();
    },
  };
}

/** A provider that starts when it is known where it may send people back to. */
export async function providerToBe() {
  const [port] = await freePorts(1);
  return {
    issuer: `http://127.0.0.1:${port}`,
    start: async (...redirects) => {
      const service = new Service(process.execPath, [join(TESTS, "oidc/provider.mjs"), String(port), "first", ...redirects]);
      await service.firstLine();
      return service;
    },
  };
}

/** Signs in at the provider and consents, where it asks for that. */
export async function signInAtProvider(page, login) {
  await page.getByPlaceholder("Enter any login").fill(login);
  await page.getByPlaceholder("and password").fill("any");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
}

/** The provider's pages ask for a typeface from elsewhere; nothing here leaves the machine. */
export const withoutTypefaces = (page) =>
  page.context().route("https://fonts.googleapis.com/**", (route) => route.fulfill({ contentType: "text/css", body: "" }));
