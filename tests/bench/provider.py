"""An OpenID provider that signs everybody in at once, for Apache's sake: discovery, a code, an ID token, a key."""
import base64, http.server, json, pathlib, re, subprocess, sys, time, urllib.parse

PORT, FOLDER = int(sys.argv[1]), pathlib.Path(sys.argv[2])
ISSUER = f"http://127.0.0.1:{PORT}"
KEY = FOLDER / "provider.key"
NONCES = {}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, given=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=given, capture_output=True, check=True).stdout


def signed(claims):
    text = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "one", "typ": "JWT"}, claims))
    return f"{text}.{b64(openssl('dgst', '-sha256', '-sign', KEY, given=text.encode()))}"


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, body, status=200, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": len(data)} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        asked = dict(urllib.parse.parse_qsl(parts.query))
        if parts.path == "/.well-known/openid-configuration":
            ends = {f"{name}_endpoint": f"{ISSUER}/{name}" for name in ("authorization", "token", "userinfo")}
            self.say({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks", "response_types_supported": ["code"], "subject_types_supported": ["public"],
                      "id_token_signing_alg_values_supported": ["RS256"], "token_endpoint_auth_methods_supported": ["client_secret_basic"]} | ends)
        elif parts.path == "/authorization":
            code = str(len(NONCES))
            NONCES[code] = asked.get("nonce")
            query = urllib.parse.urlencode({"code": code, "state": asked["state"]})
            self.say({}, 302, Location=f"{asked['redirect_uri']}?{query}")
        elif parts.path == "/jwks":
            modulus = re.search(r"Modulus=([0-9A-F]+)", openssl("rsa", "-in", KEY, "-noout", "-modulus").decode()).group(1)
            self.say({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}]})
        else:
            self.say({"sub": "bench", "email": "bench@lab.example"})

    def do_POST(self):
        asked = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "bench", "sub": "bench", "email": "bench@lab.example", "iat": now, "exp": now + 3600, "nonce": NONCES.get(asked.get("code"))}
        self.say({"access_token": "bench", "token_type": "Bearer", "expires_in": 3600, "id_token": signed(claims)})

    def log_message(self, *_):
        pass


openssl("genrsa", "-out", KEY, "2048")
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Provider).serve_forever()
