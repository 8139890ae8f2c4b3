"""A passkey in software: what a device keeps of one, and how it answers a page's script (WebAuthn level 3, sections 5.1.3, 5.1.4)."""
import hashlib, json, os, struct
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def text(raw):
    return urlsafe_b64encode(raw).decode().rstrip("=")


class Passkey:
    def __init__(self, origin, site):
        self.origin, self.site = origin, hashlib.sha256(site.encode()).digest()
        self.key, self.id, self.holder = ec.generate_private_key(ec.SECP256R1()), os.urandom(32), None

    def said(self, kind, options):
        return json.dumps({"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}).encode()

    def answer(self, **response):
        return {"id": text(self.id), "rawId": text(self.id), "type": "public-key", "clientExtensionResults": {},
                "response": {name: text(value) for name, value in response.items()}}

    def create(self, options):
        self.holder = urlsafe_b64decode(options["user"]["id"] + "==")
        public = cbor.encode(dict(ES256.from_cryptography_key(self.key.public_key())))
        data = self.site + struct.pack(">BI", PRESENT | VERIFIED | ATTESTED, 0) + bytes(16) + struct.pack(">H", len(self.id)) + self.id + public
        said = self.said("webauthn.create", options)
        return self.answer(clientDataJSON=said, attestationObject=cbor.encode({"fmt": "none", "attStmt": {}, "authData": data}))

    def get(self, options):
        data, said = self.site + struct.pack(">BI", PRESENT | VERIFIED, 0), self.said("webauthn.get", options)
        signature = self.key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        return self.answer(clientDataJSON=said, authenticatorData=data, signature=signature, userHandle=self.holder)
