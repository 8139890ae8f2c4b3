"""Signing in: what a passkey and a password take of the CPU, and what people who come all at once take from requests."""
import re, statistics, subprocess, sys, time

import peers
from browser import Browser
from load import Rounds, change, later, paced
from machine import HERE, REST, STANDS_BACK, cpu, need
from stage import PASSWORD
from table import spread

# Milliseconds of CPU; a password's beside its hash.
PASSKEY, PASSWORD_BESIDE = 3, 3
CROWD, WITHIN = 50, 2
TIMES = 100
ADDRESSES = (f"{high}.{low}" for high in range(1, 256) for low in range(256))


def run(stage, sides, options, table):
    need("/usr/lib/python3/dist-packages/fido2", "python3-fido2")
    from passkey import Passkey  # only now is what it needs there

    site = f"https://bench.localhost:{stage.front}"
    own = Passkey(site, "bench.localhost")
    link = invite(stage, "passkey@lab.example")
    browser = Browser()
    browser.send("GET", link)
    begun = browser.post(link + "/passkey/options")
    browser.post(link + "/passkey", credential=own.create(begun["publicKey"]))
    people = [f"person-{nth}@lab.example" for nth in range(CROWD)]
    for person in people:
        link, browser = invite(stage, person), Browser()
        browser.submit(browser.send("GET", link), password=PASSWORD, again=PASSWORD)

    def by_passkey(nth):
        browser.send("GET", site + "/sign-in")
        begun = browser.post(site + "/sign-in/passkey/options", begin="")
        return browser.post(site + "/sign-in/passkey", begin="", credential=own.get(begun["publicKey"]))

    def by_password(nth):
        sign_in(browser, site, people[nth % CROWD])

    rounds = [cost(stage, browser, by_passkey) for _ in range(options.rounds)]
    table.at_most("CPU of signing in with a passkey", statistics.median(rounds), PASSKEY, "{:.1f} ms", spread(rounds, "{:.1f}") + " ms")
    whole, beside = zip(*(with_hash(stage, browser, by_password) for _ in range(options.rounds)))
    table.at_most("CPU of signing in with a password, beside its hash", statistics.median(beside), PASSWORD_BESIDE, "{:.1f} ms",
                  f"{spread(beside, '{:.1f}')} ms, in all {spread(whole, '{:.1f}')}")

    cardea, rounds, done = peers.cardea(stage), Rounds(), []
    for _ in range(options.rounds):
        calm = paced(stage, cardea, options.seconds)
        crowd = stage.start([*STANDS_BACK, sys.executable, HERE / "crowd_in.py", site, *people], REST, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        crowd.stdout.readline()
        began = time.monotonic()
        seen = paced(stage, cardea, options.seconds)
        took = time.monotonic() - began
        done.append(int(crowd.communicate()[0]) / took)
        stage.children.remove(crowd)
        rounds.add(calm=calm, seen=seen)
        if not done[-1]:
            sys.exit("bench: nobody was signed in while requests were measured")
    rounds.at_most(table, f"p99 of requests while {CROWD} people sign in at once", later(rounds), WITHIN, "{:.1f} ×",
                   f" {change(rounds)}, {spread(done)} sign-ins a second")


def invite(stage, email):
    told = stage.cardea("user", "invite", "--tenant", "lab", email, "--name", "Bench", "--group", "readers")
    return re.search(r"https?://\S+", told).group(0)


def sign_in(browser, site, email):
    """From the first page to the portal, with a password."""
    page = browser.submit(browser.send("GET", site + "/sign-in"), email=email)
    page = browser.submit(page, password=PASSWORD)
    if page[0] != 200 or 'name="password"' in page[2]:
        sys.exit(f"bench: {email} was not signed in: {page[0]} at {page[1]}:\n{page[2][:2000]}")


def with_hash(stage, browser, way):
    """The same in all, and without what the gateway says that hashing took."""
    before = hashed(stage)
    whole = cost(stage, browser, way)
    return whole, whole - (hashed(stage) - before) / TIMES * 1e3


def hashed(stage):
    return float(re.search(r"^cardea_hashing_seconds_total (\S+)", stage.metrics(), re.MULTILINE).group(1))


def cost(stage, browser, way):
    """Milliseconds of the gateway's CPU for one, each over a connection and from an address of its own, since one has a pace."""
    before = cpu([stage.gateway.pid])
    for nth in range(TIMES):
        browser.close()
        browser.address = f"127.{next(ADDRESSES)}.1"
        way(nth)
    return (cpu([stage.gateway.pid]) - before) / TIMES * 1e3
