"""Signing in: what a passkey and a password take of the CPU, and what people who come all at once take from requests."""
import concurrent.futures, itertools, re, statistics, subprocess, sys, time

import peers
from browser import Browser
from load import Rounds, change, later, paced
from machine import HERE, REST, STANDS_BACK, cpu, need
from stage import PASSWORD
from table import spread

# Milliseconds of CPU; a password's beside its hash.
PASSKEY, PASSWORD_BESIDE = 3, 3
CROWD, WITHIN = 50, 2
# Sign-ins in a round, and as many as are under way at once in a round of some.
TIMES, SOME = 200, 8
ADDRESSES = (f"127.{high}.{low}.1" for high in range(1, 256) for low in range(256))


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

    def by_passkey(browser, nth):
        browser.send("GET", site + "/sign-in")
        begun = browser.post(site + "/sign-in/passkey/options", begin="")
        return browser.post(site + "/sign-in/passkey", begin="", credential=own.get(begun["publicKey"]))

    def by_password(browser, nth):
        sign_in(browser, site, people[nth % CROWD])

    for at_once, how in (SOME, f", {SOME} people at a time"), (1, ", one after the other"):
        rounds = [cost(stage, by_passkey, at_once) for _ in range(options.rounds)]
        table.at_most(f"CPU of signing in with a passkey{how}", statistics.median(rounds), PASSKEY, "{:.1f} ms", spread(rounds, "{:.1f}") + " ms")
        whole, beside = zip(*(with_hash(stage, by_password, at_once) for _ in range(options.rounds)))
        table.at_most(f"CPU of signing in with a password, beside its hash{how}", statistics.median(beside), PASSWORD_BESIDE, "{:.1f} ms",
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
    """From the first page to the session, with a password."""
    page = browser.submit(browser.send("GET", site + "/sign-in"), email=email)
    status, to, text = browser.submit(page, follow=False, password=PASSWORD)
    if status != 303 or "/sign-in" in to:
        sys.exit(f"bench: {email} was not signed in: {status} to {to}:\n{text[:2000]}")


def with_hash(stage, way, at_once):
    """The same in all, and without what the gateway says that hashing took."""
    before = hashed(stage)
    whole = cost(stage, way, at_once)
    return whole, whole - (hashed(stage) - before) / TIMES * 1e3


def hashed(stage):
    return float(re.search(r"^cardea_hashing_seconds_total (\S+)", stage.metrics(), re.MULTILINE).group(1))


def cost(stage, way, at_once):
    """Milliseconds of the gateway's CPU for one, each in a browser and from an address of its own, since one has a pace."""
    def visit(nth, address):
        browser = Browser(address)
        way(browser, nth)
        browser.close()

    # Drawn here: one generator serves no two threads.
    addresses = list(itertools.islice(ADDRESSES, TIMES))

    before = cpu([stage.gateway.pid])
    with concurrent.futures.ThreadPoolExecutor(at_once) as people:
        list(people.map(visit, range(TIMES), addresses))
    return (cpu([stage.gateway.pid]) - before) / TIMES * 1e3
