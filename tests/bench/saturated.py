"""As many requests as go: CPU per request beside everybody else's, in turns, so that what the machine does cancels out."""
import statistics

import peers
from load import saturated
from stage import TARGET
from table import spread

WANTED = {"nginx": 1.85, "auth_request": 0.8, "openidc": 0.35, "caddy": 0.3}
WANTED_TEN = 2.1


def run(stage, sides, options, table):
    sides = sides | {"ten": peers.cardea(stage, "ten"), "cardea": peers.cardea(stage)}
    rounds = {name: [] for name in sides}
    for side in sides.values():  # warm: connections, caches, branch predictors
        saturated(side, TARGET, 2, options.connections)
    for _ in range(options.rounds):
        for name, side in sides.items():
            rounds[name].append(saturated(side, TARGET, options.seconds, options.connections))
    table.note(shown(sides, rounds))

    def ratios(a, b):
        return [one["cpu"] / other["cpu"] for one, other in zip(rounds[a], rounds[b])]

    for name, limit in WANTED.items():
        if name in sides:
            found = ratios("cardea", name)
            table.at_most(f"CPU per request, beside {sides[name].name}", statistics.median(found), limit, found=spread(found, "{:.2f}") + " ×")
    if "nginx" in sides:
        found = ratios("ten", "nginx")
        table.at_most("CPU per request, 10 policies that match, beside nginx, no checks", statistics.median(found), WANTED_TEN, found=spread(found, "{:.2f}") + " ×")


def shown(sides, rounds):
    lines = ["| TLS 1.3 in, mTLS out, saturated | CPU µs/request | requests/s | p50 µs | p99 µs |", "|---|---|---|---|---|"]
    for name, seen in rounds.items():
        cells = [spread([one[key] for one in seen], form) for key, form in (("cpu", "{:.1f}"), ("rps", "{:.0f}"), ("p50", "{:.0f}"), ("p99", "{:.0f}"))]
        lines.append(f"| {sides[name].name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
