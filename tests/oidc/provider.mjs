// A certified OpenID provider (npm `oidc-provider`) for the stories, with its own pages for signing in and consenting,
// which can be made to lie.
//
//   node provider.mjs PORT KEY REDIRECT…
//
// It answers at http://127.0.0.1:PORT, signs with a new key called KEY, and prints `ready`. Whoever types the name of an
// account is that account. `GET /misbehave/<lie>` spoils what it says from then on, `GET /misbehave/not` ends that. Whoever signs
// out at `/session/end` is said to have, to the client whose redirect is below `/sign-in/callback/`; `GET /sign?by=…&header=…&claims=…`
// answers a token that it never sent (by `own`, `foreign`, `none`, `mac`).

import { createServer, request } from "node:http";

import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, decodeJwt } from "jose";
import Provider from "oidc-provider";

const [port, kid, ...redirects] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

/** Groups at work; a person whom nobody listed is in none. */
const GROUPS = { rita: ["readers-at-work", "everybody-at-work"], cora: ["curators-at-work", "everybody-at-work"] };

const account = (sub) => ({
  sub,
  name: sub.charAt(0).toUpperCase() + sub.slice(1),
  email: `${sub}@work.example`,
  email_verified: sub !== "unverified",
  groups: GROUPS[sub] ?? ["everybody-at-work"],
});

const pair = () => generateKeyPair("ES256", { extractable: true });
const logout = redirects[0]?.replace("/sign-in/callback/", "/sign-in/back-channel/");

/** Names below `localhost` are this machine, which not every resolver knows. */
const call = (url, { method, headers, body }) =>
  new Promise((resolve, reject) => {
    const { hostname, host, port, pathname } = new URL(url);
    const near = hostname.endsWith(".localhost") ? "127.0.0.1" : hostname;
    const sent = { ...Object.fromEntries(headers), host };
    const answered = ({ statusCode }) => resolve(new Response(null, { status: statusCode }));
    request({ host: near, port, path: pathname, method, headers: sent }, answered).on("error", reject).end(`${body}`);
  });

const ownPair = await pair();
const [own, foreign] = [ownPair.privateKey, (await pair()).privateKey];
/** What everybody knows of its key, as whoever forges a MAC would use it. */
const publicBytes = new TextEncoder().encode(JSON.stringify(await exportJWK(ownPair.publicKey)));

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "cardea",
      client_secret: "a secret of the stories",
      redirect_uris: redirects,
      grant_types: ["authorization_code"],
      response_types: ["code"],
      id_token_signed_response_alg: "ES256",
      ...(logout?.includes("/back-channel/") && {
        backchannel_logout_uri: logout,
        backchannel_logout_session_required: true,
      }),
    },
  ],
  jwks: { keys: [{ ...(await exportJWK(own)), kid, alg: "ES256", use: "sig" }] },
  cookies: { keys: ["a key of the stories"] },
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
  features: { devInteractions: { enabled: true }, backchannelLogout: { enabled: true } },
  fetch: call,
  findAccount: (_, sub) => ({ accountId: sub, claims: () => account(sub) }),
});

/** What each lie does to the claims of an honest ID token; `two` is what others say of whoever showed two factors. */
const LIES = {
  two: (claims) => ({ ...claims, amr: ["pwd", "otp", "mfa"] }),
  audience: (claims) => ({ ...claims, aud: "somebody-else" }),
  issuer: (claims) => ({ ...claims, iss: "https://elsewhere.example" }),
  nonce: (claims) => ({ ...claims, nonce: "another" }),
  expired: (claims) => ({ ...claims, iat: claims.iat - 7200, exp: claims.iat - 3600 }),
  party: (claims) => ({ ...claims, aud: [claims.aud, "somebody-else"], azp: "somebody-else" }),
  session: (claims) => ({ ...claims, sid: "named" }),
  key: (claims) => claims,
  none: (claims) => claims,
};

function spoil(token, lie) {
  const claims = LIES[lie](decodeJwt(token));
  if (lie === "none") return new UnsecuredJWT(claims).encode();
  return new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid }).sign(lie === "key" ? foreign : own);
}

/** A token with exactly these claims. */
function signed({ by, header, claims }) {
  const [head, said] = [JSON.parse(header), JSON.parse(claims)];
  if (by === "none") return new UnsecuredJWT(said).encode();
  const token = new SignJWT(said);
  if (by === "mac") return token.setProtectedHeader({ kid, ...head, alg: "HS256" }).sign(publicBytes);
  return token.setProtectedHeader({ alg: "ES256", kid, ...head }).sign(by === "foreign" ? foreign : own);
}

let lie = "not";
provider.use(async (ctx, next) => {
  if (ctx.path === "/sign") {
    ctx.body = await signed(ctx.query);
    return;
  }
  if (ctx.path.startsWith("/misbehave/")) {
    lie = ctx.path.slice("/misbehave/".length);
    ctx.body = lie;
    return;
  }
  await next();
  if (ctx.path === "/token" && ctx.body?.id_token && lie in LIES) ctx.body.id_token = await spoil(ctx.body.id_token, lie);
  if (ctx.path === "/me" && ctx.body?.sub && lie === "userinfo") ctx.body.sub = "somebody-else";
});

createServer(provider.callback()).listen(Number(port), "127.0.0.1", () => console.log("ready"));
