"""A program that obtains tokens, by an OAuth client that was not written here (Authlib).

    oauth_client.py '{"issuer": …, "client_id": …, "grant": …, …}'

Prints lines of JSON as it goes: where a person is to go, what came of it, how the tokens are renewed and given back.
"""
import http.server
import json
import socket
import sys

resolve = socket.getaddrinfo
# Every `*.localhost` is this machine, whatever the resolver knows.
socket.getaddrinfo = lambda host, *rest, **more: resolve(
    "127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **more
)

from authlib.integrations.requests_client import OAuth2Session  # noqa: E402
from authlib.oauth2.rfc7523 import PrivateKeyJWT  # noqa: E402
from joserfc.jwk import import_key  # noqa: E402

wish = json.loads(sys.argv[1])


def say(**line):
    print(json.dumps(line), flush=True)


class Callback(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self.server.path = self.path
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Callback)
redirect_uri = f"http://127.0.0.1:{server.server_port}/callback"


def session():
    """Who the client is: by a secret, a key, a certificate, or nobody who could prove it."""
    made = OAuth2Session(
        wish["client_id"],
        import_key(wish["key"]) if wish.get("key") else wish.get("secret"),
        scope=wish.get("scope"),
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        token_endpoint_auth_method=wish.get("method", "none"),
    )
    if wish.get("key"):
        made.register_client_auth_method(
            PrivateKeyJWT(metadata["token_endpoint"], alg=wish["alg"], headers={"kid": wish["kid"]} if wish.get("kid") else None)
        )
    # What the environment says of certificates and proxies is not meant for this machine's own servers.
    made.trust_env = False
    made.verify = wish.get("root", True)
    made.cert = tuple(wish["cert"]) if wish.get("cert") else None
    return made


import requests  # noqa: E402

metadata = requests.get(wish["issuer"] + "/.well-known/oauth-authorization-server", verify=wish.get("root", True)).json()
token_endpoint = metadata["token_endpoint"]
if wish.get("cert"):
    token_endpoint = metadata["mtls_endpoint_aliases"]["token_endpoint"]
client = session()
try:
    if wish["grant"] == "authorization_code":
        verifier = "v" * 64
        url, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
        say(open=url)
        server.handle_request()
        back = redirect_uri.removesuffix("/callback") + server.path
        token = client.fetch_token(token_endpoint, authorization_response=back, code_verifier=verifier, state=state)
    elif wish["grant"] == "shown":
        token = client.token = {"access_token": wish["token"], "token_type": "Bearer"}
    else:
        token = client.fetch_token(token_endpoint, grant_type="client_credentials")
    say(tokens=token)
    if wish.get("use"):
        reply = client.get(wish["use"])
        say(used={"status": reply.status_code, "body": reply.text})
    if token.get("refresh_token"):
        say(renewed=client.refresh_token(token_endpoint, refresh_token=token["refresh_token"]))
        say(revoked=client.revoke_token(metadata["revocation_endpoint"], client.token["refresh_token"]).status_code)
except Exception as error:  # noqa: BLE001: whatever it is, the story tells it
    say(error=getattr(error, "error", type(error).__name__), says=str(error))
say(done=True)
