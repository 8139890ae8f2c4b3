"""Floods, and the honest clients beside them: nginx under the same flood shows what the attackers take of the machine."""
import subprocess, sys, time

import peers
from load import Side, paced
from machine import HERE, REST, memory
from stage import TARGET, Browser

RATE, WITHIN = 500, 2
KINDS = ("slow-heads", "slow-bodies", "resets", "continuations")
# What the slow ones may hold: a thousand connections, each with its buffers.
MEMORY = 128


def run(stage, sides, options, table):
    cardea = peers.cardea(stage)
    # Of a session of its own: what is in flight of one session has a share, and the honest client's is another.
    files = Side("", peers.cardea(stage, "files").host, 0, stage.enter(Browser(), "files"))
    paced(cardea, TARGET, RATE, 2)  # warm
    calm = {name: honest(stage, side, options) for name, side in (("cardea", cardea), ("nginx", sides.get("nginx"))) if side}
    for kind in KINDS:
        before = memory(stage.gateway.pid)
        with Attack(stage, kind, stage.front, files):
            seen = honest(stage, cardea, options)
            grown = memory(stage.gateway.pid) - before
        beside = ""
        if "nginx" in sides:
            with Attack(stage, kind, sides["nginx"].port, Side("", cardea.host, 0, cardea.cookie)):
                other = honest(stage, sides["nginx"], options)
            beside = f"; nginx {other['p99'] / calm['nginx']['p99']:.1f} ×"
        late = seen["p99"] / calm["cardea"]["p99"]
        table.at_most(f"p99 of honest clients under {kind}", late, WITHIN, "{:.1f} ×", f"{late:.1f} × ({calm['cardea']['p99']:.0f} → {seen['p99']:.0f} µs, {seen['failed']} failed){beside}")
        table.at_most(f"memory grows under {kind}", grown, MEMORY, "{:.0f} MiB", f"{grown:.0f} MiB, {seen['core']:.0f} % of one core")


def honest(stage, side, options):
    began, before = time.monotonic(), side.cpu()
    seen = paced(side, TARGET, RATE, options.seconds)
    return seen | {"core": 100 * (side.cpu() - before) / (time.monotonic() - began)}


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
