"""Two gateways of one house, on PostgreSQL and Redis, beside one: what a request costs each way.

Requests per CPU given are counted by what they take of it: with both gateways on the one core, a house of two that carries its requests
for the same CPU carries twice as many on two cores. Each gateway has the same load, evenly sent. As much as goes would tell of something
else: PostgreSQL shares its core with whoever sends, comes to write less than is asked for, and gateways refuse rather than forget."""
import pathlib, shutil, statistics, sys, tempfile, threading

from load import RATE, Side, cpu, paced
from machine import Processes, free_port
from stage import Stage
from table import spread
import stores

WANTED = 1.8


class House(Stage):
    """A stage on PostgreSQL and Redis, with a second gateway beside the first."""

    def __init__(self, folder):
        servers = Processes()
        self.postgres, database = stores.postgres(servers, folder)
        self.redis, sessions = stores.redis(servers, folder)
        try:
            super().__init__(folder, f'[postgres]\nurl = "{database}"\n[redis]\nurl = "{sessions}"\n')
        finally:
            self.children = [*servers.children, *self.children]
        front, ops, machines = (free_port() for _ in range(3))
        (folder / "state2").mkdir(mode=0o700)
        shutil.copy(folder / "state/operator.key", folder / "state2/operator.key")
        self.configure(folder / "second.toml", folder / "state2", front, ops, machines)
        second = self.serve(folder / "second.toml", ops, folder / "second.log")
        self.sides = [Side(f"gateway {nth}", "records.bench.localhost", port, self.cookies["records"], child)
                      for nth, (port, child) in enumerate([(self.front, self.gateway), (front, second)], 1)]


def run(stage, sides, options, table):
    with tempfile.TemporaryDirectory() as folder:
        house = House(pathlib.Path(folder))
        try:
            compare(house, options, table)
        finally:
            house.end()


def compare(house, options, table):
    ways = {"one": house.sides[:1], "two": house.sides}
    for way in ways.values():
        together(house, way, 2)
    found = {name: [] for name in ways}
    for turn in range(options.rounds):
        for name in sorted(ways, reverse=turn % 2 == 1):
            found[name].append(together(house, ways[name], options.seconds))
    ratios = [2 * one["cpu"] / two["cpu"] for one, two in zip(found["one"], found["two"])]
    table.at_least("requests of two gateways beside one, per CPU given", statistics.median(ratios), WANTED, found=spread(ratios, "{:.2f}") + " ×")
    for name, seen in found.items():
        table.note(f"{name.capitalize()} of the house, at {RATE:,} requests a second each: {spread([one['cpu'] for one in seen], '{:.1f}')} µs of the gateways' CPU a request, {spread([one['stores'] for one in seen], '{:.1f}')} µs of PostgreSQL's and Redis's.")


def together(house, sides, seconds):
    """The same load on each of these at once."""
    pids = [house.postgres.pid, house.redis.pid]
    stored, gateways = cpu(pids), cpu([child.pid for side in sides for child in side.children])
    seen = [None] * len(sides)

    def load(nth):
        try:
            seen[nth] = paced(house, sides[nth], seconds)
        except SystemExit as why:
            seen[nth] = why

    threads = [threading.Thread(target=load, args=(nth,)) for nth in range(len(sides))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fault in (one for one in seen if isinstance(one, SystemExit)):
        raise fault
    if failed := sum(one["failed"] for one in seen):
        sys.exit(f"bench: {failed} requests were not answered well: {[one['how'] for one in seen]}")
    done = sum(one["sent"] for one in seen)
    spent = cpu([child.pid for side in sides for child in side.children]) - gateways
    return {"cpu": spent / done * 1e6, "stores": (cpu(pids) - stored) / done * 1e6}
