"""New connections: a full TLS 1.3 handshake, one request, the end."""
import statistics

import peers
from load import saturated
from stage import TARGET
from table import spread

WANTED = 1.3


def run(stage, sides, options, table):
    if "nginx" not in sides:
        return
    sides = {"nginx": sides["nginx"], "cardea": peers.cardea(stage)}
    seen = {name: ([], []) for name in sides}
    for _ in range(options.rounds):
        for name, side in sides.items():
            new = saturated(side, TARGET, options.seconds, options.connections, "Connection: close")["cpu"]
            kept = saturated(side, TARGET, 2, options.connections)["cpu"]
            seen[name][0].append(new)
            seen[name][1].append(new - kept)
    whole, alone = ([ours / theirs for ours, theirs in zip(seen["cardea"][nth], seen["nginx"][nth])] for nth in (0, 1))
    table.at_most("CPU of a new TLS 1.3 connection, beside nginx", statistics.median(alone), WANTED, found=spread(alone, "{:.2f}") + " ×")
    table.add("the same with its one request", spread(whole, "{:.2f}") + " ×")
    table.note("A new connection without its request: " + "; ".join(f"{sides[name].name} {spread(found[1])} µs" for name, found in seen.items()) + ".")
