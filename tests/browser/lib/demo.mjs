// The demonstration as its people find it: started anew in an empty folder, told by its one line of JSON.

import { join } from "node:path";

import { Person } from "./people.mjs";
import { BIN, folder, freePorts, run, Service } from "./places.mjs";

/** Starts a demonstration. `await demo.stop()` leaves nothing behind. */
export async function startDemo() {
  const place = folder("demo");
  const [port] = await freePorts(1);
  const service = new Service(BIN, ["demo", "--dir", place.path, "--port", String(port), "--format", "json"]);
  const told = JSON.parse(await service.firstLine());
  const people = told.people.map((one) => new Person(one));
  return {
    told,
    /** `("records.acme", "/about")` gives the whole address. */
    at: (host, path = "/") => `http://${host}.localhost:${port}${path}`,
    person: (email) => people.find((one) => one.email === email),
    /** Runs the command line beside it, as an operator would. */
    cardea: (...args) => run(BIN, ["--config", join(place.path, "cardea.toml"), ...args]),
    stop: async () => {
      await service.stop();
      place.remove();
    },
  };
}
