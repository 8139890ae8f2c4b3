"""Load, as much as goes or at a fixed rate, and how long answers took."""
import collections, functools, json, os, re, statistics, subprocess, sys, time

from machine import HERE, MEASURED, REST, ROOT, busy, cpu, sh
from stage import TARGET
from table import spread

UNITS = {"us": 1, "ms": 1e3, "s": 1e6}
# Requests a second where there is room for all, and the connections that they take turns on.
RATE, CONNECTIONS = 2000, 16
# So many requests, at least, for a p99: it is then the 200th from the end.
SAMPLES = 20_000
# What is compared is told apart to 100 µs: a sender that is later than that at its own p99 disturbs a p99, and at its own p50 a p50.
LATE = 100
# Share of the measured core.
OTHERS = 0.05


class Side:
    """Something to be measured: where it listens, what shows who asks, and the processes that are its cost."""

    def __init__(self, name, host, port, cookie, *children):
        self.name, self.host, self.port, self.cookie, self.children = name, host, port, cookie, children
        # The header that shows who asks.
        self.shows = f"Cookie: {cookie}"

    def url(self, target):
        return f"https://{self.host}:{self.port}{target}"

    def cpu(self):
        return cpu([child.pid for child in self.children])


def saturated(side, target, seconds, connections, *headers):
    """As many requests as go, by wrk: CPU of one in µs, requests a second, p50 and p99 in µs."""
    more = [part for header in headers for part in ("-H", header)]
    before = side.cpu()
    out = sh("taskset", "-c", REST, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", HERE / "loopback.lua", "-H", side.shows, *more, side.url(target))
    spent = side.cpu() - before
    done = int(re.search(r"(\d+) requests in", out).group(1))
    if "Non-2xx or 3xx responses" in out or "Socket errors" in out and not headers:
        sys.exit(f"bench: {side.name}: not every request was answered well:\n{out}")
    late = {q: float(v) * UNITS[u] for q, v, u in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", out)}
    return {"cpu": spent / done * 1e6, "done": done, "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), "p50": late["50"], "p99": late["99"]}


@functools.cache
def sender():
    """The program that sends at a fixed rate, built when it is first needed: where all else is built it would pull that in."""
    every = f"0-{os.cpu_count() - 1}"
    command = ["taskset", "-c", every, "cargo", "build", "--release", "--package", "cardea-pace", "--bench", "pace", "--target-dir", ROOT / "target/bench"]
    built = subprocess.run([*command, "--message-format", "json-render-diagnostics"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return next(found for line in built.splitlines() if (found := json.loads(line).get("executable")))


def paced(stage, side, seconds, arrivals="even"):
    """RATE requests a second, by `pace`: quantiles in µs, how many failed, CPU of one in µs; how late the sender was at p99 of what
    it sent, and what share of the measured core others took."""
    program, side_before, core_before, began = sender(), side.cpu(), busy(MEASURED), time.monotonic()
    out = sh("taskset", "-c", REST, program, side.port, side.host, TARGET, side.cookie, stage.dir / "front.pem", RATE, seconds, CONNECTIONS, arrivals)
    took, spent, core = time.monotonic() - began, side.cpu() - side_before, busy(MEASURED) - core_before
    found = json.loads(out)
    if not found["answered"]:
        sys.exit(f"bench: {side.name}: no request was answered well: {out}")
    return found | {"failed": sum(found["failed"].values()), "how": found["failed"], "cpu": spent / found["sent"] * 1e6, "others": max(0.0, core - spent) / took}


class Rounds:
    """What came out of rounds that each compare some runs of `paced`. A round counts only where the sender was in time in all of
    them, and nobody else was on the measured core."""

    def __init__(self):
        self.kept, self.halves, self.all, self.failures = [], [], 0, collections.Counter()

    def add(self, **seen):
        self.all += 1
        for one in seen.values():
            self.failures.update(one["how"])
        alone = all(one["others"] <= OTHERS for one in seen.values())
        if alone and all(one["late_half"] <= LATE for one in seen.values()):
            self.halves.append(seen)
        if alone and all(one["late"] <= LATE for one in seen.values()):
            self.kept.append(seen)
            return
        print("  left out: " + "; ".join(f"{name}: the sender {one['late']:.0f} µs late, others had {one['others']:.1%} of the core" for name, one in seen.items()), flush=True)

    def by(self, key):
        """The rounds that count for a quantile: a half asks less of the sender than what is said of one in a hundred."""
        return self.halves if key in ("p50", "cpu") else self.kept

    def of(self, name, key):
        return [one[name][key] for one in self.by(key)]

    def at_most(self, table, what, values, limit, form, more="", key="p99"):
        """A row with the median and the extremes of `values`, one of each round that counts for the quantile `key`."""
        values, kept = list(values), self.by(key)
        left_out = f"; {self.all - len(kept)} of {self.all} rounds left out" if len(kept) < self.all else ""
        if not values:
            table.add(what, "nothing" + left_out, "at most " + form.format(limit))
            return
        fewest = min(one["answered"] + one["failed"] for seen in kept for one in seen.values())
        few = f"; no verdict from {fewest} requests a round" if fewest < SAMPLES else ""
        number, unit = form.split(" ")
        found = f"{spread(values, number)} {unit}{more}{left_out}{few}"
        table.add(what, found, "at most " + form.format(limit), None if few else statistics.median(values) <= limit)


def later(rounds):
    """How many times as long p99 is as in the calm just before."""
    return [one["seen"]["p99"] / one["calm"]["p99"] for one in rounds.kept]


def change(rounds):
    """p99 before and after, and what failed."""
    p99 = " → ".join(f"{statistics.median(rounds.of(name, 'p99')):.0f}" for name in ("calm", "seen")) + " µs, " if rounds.kept else ""
    failed = ", ".join(f"{count} × {how}" for how, count in rounds.failures.items())
    return f"({p99}{failed or 'none'} failed)"
