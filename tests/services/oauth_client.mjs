// A program that obtains tokens, by an OAuth client that was not written here (npm `openid-client`).
//
//   oauth_client.mjs '{"issuer": …, "client_id": …, "grant": …, …}'
//
// Prints lines of JSON as it goes: where a person is to go, what came of it, how the tokens are renewed and given back.
import dns from "node:dns";
import http from "node:http";

// Every `*.localhost` is this machine, whatever the resolver knows.
const resolve = dns.lookup;
dns.lookup = (host, options, done) => {
  const [how, then] = typeof options === "function" ? [{}, options] : [options, done];
  if (!host.endsWith(".localhost")) return resolve(host, how, then);
  return how?.all ? then(null, [{ address: "127.0.0.1", family: 4 }]) : then(null, "127.0.0.1", 4);
};
const oauth = await import("openid-client");

const say = (line) => console.log(JSON.stringify(line));
const told = (error) => ({ error: error.error ?? error.code ?? error.name, status: error.status, says: error.error_description ?? error.message });
const wish = JSON.parse(process.argv[2]);

async function authentication() {
  if (wish.secret) return wish.post ? oauth.ClientSecretPost(wish.secret) : oauth.ClientSecretBasic(wish.secret);
  if (!wish.key) return oauth.None();
  const algorithm = wish.key.kty === "EC" ? { name: "ECDSA", namedCurve: "P-256" } : { name: "Ed25519" };
  const key = await crypto.subtle.importKey("jwk", wish.key, algorithm, false, ["sign"]);
  return oauth.PrivateKeyJwt(wish.key.kid ? { key, kid: wish.key.kid } : key);
}

const config = await oauth.discovery(new URL(wish.issuer), wish.client_id, undefined, await authentication(), {
  algorithm: "oauth2",
  execute: [oauth.allowInsecureRequests],
});
const handle = wish.dpop ? oauth.getDPoPHandle(config, await oauth.randomDPoPKeyPair("ES256")) : undefined;
const options = { DPoP: handle };
const wanted = { ...(wish.scope && { scope: wish.scope }), ...(wish.resource && { resource: wish.resource }) };
const summary = (tokens) => ({ type: tokens.token_type, scope: tokens.scope, expires_in: tokens.expires_in, access: tokens.access_token, refresh: tokens.refresh_token });

async function byCode() {
  const verifier = oauth.randomPKCECodeVerifier();
  const state = oauth.randomState();
  let come;
  const back = new Promise((resolve) => (come = resolve));
  const server = http.createServer((request, response) => (response.end("you can close this page"), come(request.url)));
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const redirect_uri = `http://127.0.0.1:${server.address().port}/callback`;
  const code_challenge = await oauth.calculatePKCECodeChallenge(verifier);
  const asked = { redirect_uri, code_challenge, code_challenge_method: "S256", state, ...wanted };
  say({ open: oauth.buildAuthorizationUrl(config, asked).href });
  const current = new URL(await back, redirect_uri);
  server.close();
  say({ back: current.href });
  return oauth.authorizationCodeGrant(config, current, { pkceCodeVerifier: verifier, expectedState: state }, undefined, options);
}

async function byDevice() {
  const begun = await oauth.initiateDeviceAuthorization(config, wanted);
  say({ user_code: begun.user_code, open: begun.verification_uri, complete: begun.verification_uri_complete });
  return oauth.pollDeviceAuthorizationGrant(config, begun, undefined, options);
}

const use = async (token, method = "GET", body) => {
  const target = new URL(wish.use);
  const reply = await oauth.fetchProtectedResource(config, token, target, method, body, undefined, options);
  return { status: reply.status, demands: reply.headers.get("www-authenticate"), body: await reply.text() };
};

try {
  const grants = {
    client_credentials: () => oauth.clientCredentialsGrant(config, wanted, options),
    authorization_code: byCode,
    device_code: byDevice,
  };
  let tokens = await grants[wish.grant]();
  say({ tokens: summary(tokens) });
  if (wish.use) say({ used: await use(tokens.access_token).catch(told) });
  if (wish.introspect) say({ introspected: await oauth.tokenIntrospection(config, tokens.access_token) });
  for (let renewals = wish.renew ?? 0; renewals > 0; renewals -= 1) {
    tokens = await oauth.refreshTokenGrant(config, tokens.refresh_token, undefined, options);
    say({ renewed: summary(tokens) });
  }
  if (wish.use && wish.renew) say({ used: await use(tokens.access_token).catch(told) });
  if (wish.revoke) {
    await oauth.tokenRevocation(config, tokens[wish.revoke]);
    say({ revoked: wish.revoke });
    if (wish.use) say({ used: await use(tokens.access_token).catch(told) });
    if (tokens.refresh_token) say({ renewed: await oauth.refreshTokenGrant(config, tokens.refresh_token, undefined, options).then(summary, told) });
  }
} catch (error) {
  say(told(error));
}
say({ done: true });
