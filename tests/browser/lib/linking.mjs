// A tenant whose people may link accounts at an OpenID provider to theirs, with that provider beside it.

import { startGateway } from "./gateway.mjs";
import { providerToBe } from "./services.mjs";

const PASSWORD = "seven green bottles on a wall";

/** The tenant's file, to which more of `[factors]` may be added. */
export const TENANT = 'id = "acme"\nname = "Acme Laboratories"\nsign_in_host = "acme.localhost"\n\n[factors]\nenrol = "sign-in"\n';

const work = (issuer) => `id = "work"
name = "Work account"
issuer = "${issuer}"
client_id = "cardea"
client_secret = { file = "provider.secret" }
link = true
`;

/** Starts both, with `more` files. `await gateway.invites(email, name, ...groups)` gives the address of an invitation. */
export async function startGatewayAndProvider(more = {}) {
  const toBe = await providerToBe();
  const gateway = await startGateway(() => ({
    "provider.secret": "a secret of the stories\n",
    "resources/tenants/acme/tenant.toml": TENANT,
    "resources/tenants/acme/providers/work.toml": work(toBe.issuer),
    ...more,
  }));
  const provider = await toBe.start(gateway.at("acme", "/sign-in/callback/work"));
  return {
    ...gateway,
    invites: async (email, name, ...groups) => {
      const of = groups.flatMap((group) => ["--group", group]);
      return JSON.parse(await gateway.cardea("--format", "json", "user", "--tenant", "acme", "invite", email, "--name", name, ...of)).url;
    },
    stop: async () => {
      for (const service of [gateway, provider]) await service.stop();
    },
  };
}

/** Accepts an invitation with a password. */
export async function joins(page, url) {
  await page.goto(url);
  await page.getByLabel("New password").fill(PASSWORD);
  await page.getByLabel("The same once more").fill(PASSWORD);
  await page.getByRole("button", { name: "Set password and continue" }).click();
  await page.getByText("Add a second way?").waitFor();
}
