"""A request with a token beside one with a session: CPU of each, in turns."""
import json, statistics, sys, urllib.parse

import peers
from browser import Browser
from load import Side, saturated
from stage import TARGET
from table import spread

WANTED = 1.3


def run(stage, sides, options, table):
    cookie = peers.cardea(stage)
    secret = stage.cardea("client", "secret", "--tenant", "lab", "loader").split()[-1]
    found = []
    for turn in range(-1, options.rounds):  # the first warms
        # A token lives ten minutes: each round has its own.
        bearer = Side("Cardea, a bearer token", cookie.host, cookie.port, cookie.cookie, stage.gateway)
        bearer.shows = f"Authorization: Bearer {token(stage, secret)}"
        order = (cookie, bearer) if turn % 2 else (bearer, cookie)
        seen = {side.name: saturated(side, TARGET, options.seconds if turn >= 0 else 2, options.connections) for side in order}
        if turn >= 0:
            found.append(seen[bearer.name]["cpu"] / seen[cookie.name]["cpu"])
    table.at_most("CPU per request, a bearer token beside a session", statistics.median(found), WANTED, found=spread(found, "{:.2f}") + " ×")


def token(stage, secret):
    """By client credentials (RFC 6749 section 4.4)."""
    wish = {"grant_type": "client_credentials", "scope": "read", "client_id": "loader", "client_secret": secret}
    status, _, text = Browser().send("POST", f"https://bench.localhost:{stage.front}/oauth2/token", urllib.parse.urlencode(wish), accept="application/json")
    if status != 200:
        sys.exit(f"bench: no token: {status} {text[:500]}")
    return json.loads(text)["access_token"]
