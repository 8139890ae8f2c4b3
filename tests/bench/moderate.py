"""A moderate, fixed rate: how long one answer takes where there is room for all."""
import statistics

import peers
from load import paced
from stage import TARGET
from table import spread

RATE = 2000
NEAR = 100


def run(stage, sides, options, table):
    sides = {name: side for name, side in sides.items() if name in ("nginx", "auth_request")} | {"cardea": peers.cardea(stage)}
    rounds = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, side in sides.items():
            rounds[name].append(paced(side, TARGET, RATE, options.seconds))
    lines = [f"| {RATE} requests/s | CPU µs/request | p50 µs | p99 µs | failed |", "|---|---|---|---|---|"]
    for name, seen in rounds.items():
        cells = [spread([one[key] for one in seen]) for key in ("cpu", "p50", "p99")]
        lines.append(f"| {sides[name].name} | " + " | ".join(cells) + f" | {sum(one['failed'] for one in seen)} |")
    table.note("\n".join(lines))

    def beside(name, key):
        return [one[key] - other[key] for one, other in zip(rounds["cardea"], rounds[name])]

    if "nginx" in sides:
        later = beside("nginx", "p50")
        table.at_most(f"p50 at {RATE} requests/s, later than nginx", statistics.median(later), NEAR, "{:.0f} µs", spread(later) + " µs")
    if "auth_request" in sides:
        later = beside("auth_request", "p99")
        table.at_most(f"p99 at {RATE} requests/s, later than nginx auth_request", statistics.median(later), 0, "{:.0f} µs", spread(later) + " µs")
