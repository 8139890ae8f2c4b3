"""A moderate, fixed rate: how long one answer takes where there is room for all."""
import peers
from load import RATE, Rounds, paced
from table import spread

NEAR = 100
COLUMNS = {"cpu": "CPU µs/request", "p50": "p50 µs", "p90": "p90 µs", "p99": "p99 µs", "p999": "p99.9 µs", "late": "sender late, p99 µs"}


def run(stage, sides, options, table):
    sides = {name: side for name, side in sides.items() if name in ("nginx", "auth_request")} | {"cardea": peers.cardea(stage)}
    even = measured(stage, sides, options, lambda nth: "even")
    table.note(shown(f"{RATE} requests/s", sides, even))
    if "nginx" in sides:
        even.at_most(table, f"p50 at {RATE} requests/s, later than nginx", later(even, "nginx", "p50"), NEAR, "{:.0f} µs", key="p50")
    if "auth_request" in sides:
        even.at_most(table, f"p99 at {RATE} requests/s, later than nginx auth_request", later(even, "auth_request", "p99"), 0, "{:.0f} µs")
    # Many at once now and then: what one takes of the CPU, the next ones wait for. In a round, everybody gets the same moments.
    table.note(shown(f"{RATE} requests/s at random moments", sides, measured(stage, sides, options, str)))


def measured(stage, sides, options, arrivals):
    rounds = Rounds()
    for nth in range(options.rounds):
        order = list(sides) if nth % 2 == 0 else list(reversed(sides))
        rounds.add(**{name: paced(stage, sides[name], options.seconds, arrivals(nth)) for name in order})
    return rounds


def later(rounds, than, key):
    return [ours - theirs for ours, theirs in zip(rounds.of("cardea", key), rounds.of(than, key))]


def shown(title, sides, rounds):
    lines = [f"| {title}, {len(rounds.kept)} of {rounds.all} rounds ({len(rounds.halves)} for p50 and CPU) | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, side in sides.items():
        lines.append(f"| {side.name} | " + " | ".join(spread(rounds.of(name, key)) if rounds.by(key) else "" for key in COLUMNS) + " |")
    failed = ", ".join(f"{count} × {how}" for how, count in rounds.failures.items()) or "none"
    return "\n".join(lines) + f"\n\nOf these requests failed: {failed}."
