"""Floods, and the honest clients beside them: nginx under the same flood shows what the attackers take of the machine."""
import statistics, subprocess, sys, time

import peers
from load import Side, paced
from machine import HERE, REST, memory
from stage import TARGET, Browser
from table import spread

RATE, WITHIN = 500, 2
KINDS = ("slow-heads", "slow-bodies", "resets", "continuations")
# What the slow ones may hold: a thousand connections, each with its buffers.
MEMORY = 128


def run(stage, sides, options, table):
    cardea = peers.cardea(stage)
    # Of a session of its own: what is in flight of one session has a share, and the honest client's is another.
    files = Side("", peers.cardea(stage, "files").host, 0, stage.enter(Browser(), "files"))
    honest(cardea, options)  # warm
    for kind in KINDS:
        ours = [Round(stage, cardea, stage.front, kind, files, options) for _ in range(options.rounds)]
        beside = ""
        if "nginx" in sides:
            other = Side("", cardea.host, 0, cardea.cookie)
            theirs = [Round(stage, sides["nginx"], sides["nginx"].port, kind, other, options) for _ in range(options.rounds)]
            beside = f"; nginx {spread([one.later for one in theirs], '{:.1f}')} ×"
        later = [one.later for one in ours]
        calm, seen = (statistics.median(one["p99"] for one in half) for half in zip(*((one.calm, one.seen) for one in ours)))
        failed = sum(one.seen["failed"] for one in ours)
        table.at_most(f"p99 of honest clients under {kind}", statistics.median(later), WITHIN, "{:.1f} ×",
                      f"{spread(later, '{:.1f}')} × ({calm:.0f} → {seen:.0f} µs, {failed} failed){beside}")
        grown, core = max(one.grown for one in ours), max(one.core for one in ours)
        table.at_most(f"memory grows under {kind}", grown, MEMORY, "{:.0f} MiB", f"{grown:.0f} MiB, {core:.0f} % of one core")


class Round:
    """Honest clients without a flood, and with it at once after: what else the machine does then touches both."""

    def __init__(self, stage, side, port, kind, attacker, options):
        self.calm = honest(side, options)
        held = memory(stage.gateway.pid)
        with Attack(stage, kind, port, attacker):
            began, before = time.monotonic(), side.cpu()
            self.seen = honest(side, options)
            self.core = 100 * (side.cpu() - before) / (time.monotonic() - began)
            self.grown = memory(stage.gateway.pid) - held
        self.later = self.seen["p99"] / self.calm["p99"]


def honest(side, options):
    return paced(side, TARGET, RATE, options.seconds)


class Attack:
    def __init__(self, stage, kind, port, side):
        self.stage, self.command = stage, [sys.executable, HERE / "attack.py", kind, port, side.host, side.cookie]

    def __enter__(self):
        # Nice, so that it does not take the honest clients' core: what it costs the gateway is to be seen.
        self.child = self.stage.start(["nice", "-n", "10", *self.command], REST, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.child.stdout.readline()
        time.sleep(3)

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.kill()
        self.child.wait()
        self.stage.children.remove(self.child)
        time.sleep(1)
