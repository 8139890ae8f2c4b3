"""Load, as much as goes or at a fixed rate, and how long answers took."""
import json, re, sys

from machine import HERE, REST, cpu, sh

UNITS = {"us": 1, "ms": 1e3, "s": 1e6}


class Side:
    """Something to be measured: where it listens, what shows who asks, and the processes that are its cost."""

    def __init__(self, name, host, port, cookie, *children):
        self.name, self.host, self.port, self.cookie, self.children = name, host, port, cookie, children

    def url(self, target):
        return f"https://{self.host}:{self.port}{target}"

    def cpu(self):
        return cpu([child.pid for child in self.children])


def saturated(side, target, seconds, connections, *headers):
    """As many requests as go, by wrk: CPU of one in µs, requests a second, p50 and p99 in µs."""
    more = [part for header in headers for part in ("-H", header)]
    before = side.cpu()
    out = sh("taskset", "-c", REST, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", HERE / "loopback.lua", "-H", f"Cookie: {side.cookie}", *more, side.url(target))
    spent = side.cpu() - before
    done = int(re.search(r"(\d+) requests in", out).group(1))
    if "Non-2xx or 3xx responses" in out or "Socket errors" in out and not headers:
        sys.exit(f"bench: {side.name}: not every request was answered well:\n{out}")
    late = {q: float(v) * UNITS[u] for q, v, u in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", out)}
    return {"cpu": spent / done * 1e6, "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), "p50": late["50"], "p99": late["99"]}


def paced(side, target, rate, seconds, connections=16):
    """So many requests a second, evenly, by `pace.py`: p50 and p99 in µs, how many failed, CPU of one in µs."""
    before = side.cpu()
    found = json.loads(sh("taskset", "-c", REST, sys.executable, HERE / "pace.py", side.port, side.host, target, side.cookie, rate, seconds, connections))
    return found | {"cpu": (side.cpu() - before) / (rate * seconds) * 1e6}
