"""A thousand apps, all changed while requests come."""
import threading, time

import peers
from load import paced
from stage import TARGET

APPS, RATE, WITHIN = 1000, 500, 2


def run(stage, sides, options, table):
    write(stage, "first")
    stage.cardea("apply", "--yes", stage.dir / "resources")
    time.sleep(3)
    cardea = peers.cardea(stage)
    paced(cardea, TARGET, RATE, 2)  # warm
    seconds = max(options.seconds, 10)
    calm = paced(cardea, TARGET, RATE, seconds)
    write(stage, "second")
    change = threading.Timer(seconds / 4, lambda: stage.cardea("apply", "--yes", stage.dir / "resources"))
    change.start()
    seen = paced(cardea, TARGET, RATE, seconds)
    change.join()
    table.at_most(f"failed requests while {APPS} apps change", calm["failed"] + seen["failed"], 0, "{:.0f}")
    late = seen["p99"] / calm["p99"]
    table.at_most(f"p99 while {APPS} apps change", late, WITHIN, "{:.1f} ×", f"{late:.1f} × ({calm['p99']:.0f} → {seen['p99']:.0f} µs)")


def write(stage, word):
    apps = stage.dir / "resources/tenants/lab/apps"
    for n in range(APPS):
        (apps / f"many-{n}.toml").write_text(
            f'id = "many-{n}"\nname = "{word} {n}"\nhosts = ["many-{n}.bench.localhost"]\n\n[upstream]\n{stage.over_mtls()}\n\n[[resources]]\npattern = "/{word}/{{id}}"\ntype = "Thing"\n')
