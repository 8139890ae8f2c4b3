"""Floods, and the honest clients beside them: nginx under the same flood shows what the attackers take of the machine."""
import subprocess, sys, time

import peers
from load import Rounds, Side, change, later, paced
from machine import HERE, REST, STANDS_BACK, memory
from stage import Browser
from table import spread

WITHIN = 2
KINDS = ("slow-heads", "slow-bodies", "resets", "continuations")
# What the slow ones may hold: a thousand connections, each with its buffers.
MEMORY = 128


def run(stage, sides, options, table):
    cardea = peers.cardea(stage)
    # Of a session of its own: what is in flight of one session has a share, and the honest client's is another.
    files = Side("", peers.cardea(stage, "files").host, 0, stage.enter(Browser(), "files"))
    sides = {"cardea": (cardea, stage.front, files)} | ({"nginx": (sides["nginx"], sides["nginx"].port, Side("", cardea.host, 0, cardea.cookie))} if "nginx" in sides else {})
    for kind in KINDS:
        rounds = {name: Rounds() for name in sides}
        grown, core = [], []
        for nth in range(options.rounds):
            for name in list(sides) if nth % 2 == 0 else list(reversed(sides)):
                more, share = flooded(stage, *sides[name], kind, options, rounds[name])
                if name == "cardea":
                    grown.append(more)
                    core.append(share)
        ours = rounds["cardea"]
        beside = f", nginx {spread(later(rounds['nginx']), '{:.1f}')} ×" if "nginx" in sides and rounds["nginx"].kept else ""
        ours.at_most(table, f"p99 of honest clients under {kind}", later(ours), WITHIN, "{:.1f} ×", f" {change(ours)}{beside}")
        table.at_most(f"memory grows under {kind}", max(grown), MEMORY, "{:.0f} MiB", f"{max(grown):.0f} MiB, {max(core):.0f} % of one core")


def flooded(stage, side, port, attacker, kind, options, rounds):
    """Honest clients without a flood, and with it at once after: what else the machine does then touches both. Gives by how many
    MiB the gateway grew, and the side's share of a core."""
    calm = paced(stage, side, options.seconds)
    held = memory(stage.gateway.pid)
    with Attack(stage, kind, port, attacker):
        began, before = time.monotonic(), side.cpu()
        seen = paced(stage, side, options.seconds)
        core = 100 * (side.cpu() - before) / (time.monotonic() - began)
        grown = memory(stage.gateway.pid) - held
    rounds.add(calm=calm, seen=seen)
    return grown, core


class Attack:
    def __init__(self, stage, kind, port, side):
        self.stage, self.command = stage, [sys.executable, HERE / "attack.py", kind, port, side.host, side.cookie]

    def __enter__(self):
        # So that it does not take the honest clients' core: what it costs the gateway is to be seen.
        self.child = self.stage.start([*STANDS_BACK, *self.command], REST, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.child.stdout.readline()
        time.sleep(3)

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.kill()
        self.child.wait()
        self.stage.children.remove(self.child)
        time.sleep(1)
