// An installation like an operator's: a configuration, a folder of resources that is applied, and `cardea serve`.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { BIN, folder, freePorts, run, Service } from "./places.mjs";

/**
 * Sets up a gateway before ports are known: `files(at)` gives the resources and other files by path; `more` stands at the end of its
 * configuration.
 */
export async function startGateway(files, more = "") {
  const place = folder("gateway");
  const [port, ops] = await freePorts(2);
  const at = (host, path = "/") => `http://${host}.localhost:${port}${path}`;
  const config = `[state]\ndir = "state"\n\n[[listeners]]\naddress = "127.0.0.1:${port}"\nplain = true\n\n[ops]\naddress = "127.0.0.1:${ops}"\n${more}`;
  for (const [path, text] of Object.entries({ "cardea.toml": config, ...files(at) })) {
    mkdirSync(dirname(join(place.path, path)), { recursive: true });
    writeFileSync(join(place.path, path), text);
  }
  const cardea = (...args) => run(BIN, args, { cwd: place.path });
  await cardea("apply", "resources", "--yes");
  const service = new Service(BIN, ["serve"], { cwd: place.path });
  await service.ready(`http://127.0.0.1:${ops}/readyz`);
  return {
    at,
    cardea,
    /** Where a file of its folder is. */
    file: (path) => join(place.path, path),
    stop: async () => {
      await service.stop();
      place.remove();
    },
  };
}
