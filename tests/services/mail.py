"""A mail server: aiosmtpd, which keeps each letter as a file of JSON.

    mail.py PORT FOLDER [implicit|starttls CERTIFICATE KEY]

Over TLS it takes letters of `cardea` with the password `quiet as a mouse` alone. While FOLDER holds a file `refuse` it takes
none, and says whose; while it holds `later`, it takes the next one only when it comes again.
"""
import asyncio
import email
import email.policy
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

port, folder = int(sys.argv[1]), sys.argv[2]
mode = sys.argv[3] if len(sys.argv) > 3 else None
count = sum(name.endswith(".json") for name in os.listdir(folder))


def there(name):
    return os.path.exists(os.path.join(folder, name))


class Keeper:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if there("refuse"):
            return f"550 5.1.1 <{address}>: nobody of that name"
        if there("later"):
            os.remove(os.path.join(folder, "later"))
            return f"451 4.7.1 <{address}>: come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        global count
        count += 1
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in letter.items()},
            "text": letter.get_content(),
            "tls": mode == "implicit" or session.ssl is not None,
        }
        beside, place = os.path.join(folder, ".new"), os.path.join(folder, f"{count:04}.json")
        with open(beside, "w") as file:
            json.dump(told, file)
        os.rename(beside, place)
        return "250 OK"


def login(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"cardea", b"quiet as a mouse"))


async def main():
    context = None
    if mode:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[4], sys.argv[5])
    settings = {"hostname": "mail.example", "enable_SMTPUTF8": False}
    if mode:
        settings |= {"auth_required": True, "authenticator": login}
    if mode == "starttls":
        settings |= {"tls_context": context, "require_starttls": True}
    if mode == "implicit":
        # Over TLS as a whole, which the library does not see.
        settings |= {"auth_require_tls": False}
    over = context if mode == "implicit" else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Keeper(), **settings), "127.0.0.1", port, ssl=over)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
