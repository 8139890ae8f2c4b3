"""A thousand apps, all changed while requests come."""
import threading, time

import peers
from load import Rounds, change, later, paced
from machine import STANDS_BACK, sh

APPS, WITHIN = 1000, 2


def run(stage, sides, options, table):
    cardea, rounds = peers.cardea(stage), Rounds()
    write(stage, "first")
    apply(stage)
    time.sleep(3)
    for nth in range(options.rounds):
        calm = paced(stage, cardea, options.seconds)
        write(stage, f"again {nth}")
        one = threading.Timer(options.seconds / 4, apply, [stage])
        one.start()
        seen = paced(stage, cardea, options.seconds)
        one.join()
        rounds.add(calm=calm, seen=seen)
    table.at_most(f"failed requests while {APPS} apps change", sum(rounds.failures.values()), 0, "{:.0f}")
    rounds.at_most(table, f"p99 while {APPS} apps change", later(rounds), WITHIN, "{:.1f} ×", f" {change(rounds)}")


def apply(stage):
    # Who changes something sits elsewhere.
    sh(*STANDS_BACK, stage.binary, "--config", stage.dir / "cardea.toml", "apply", "--yes", stage.dir / "resources")


def write(stage, word):
    apps = stage.dir / "resources/tenants/lab/apps"
    for n in range(APPS):
        (apps / f"many-{n}.toml").write_text(
            f'id = "many-{n}"\nname = "{word} {n}"\nhosts = ["many-{n}.bench.localhost"]\n\n[upstream]\n{stage.over_mtls()}\n\n[[resources]]\npattern = "/{word.replace(" ", "-")}/{{id}}"\ntype = "Thing"\n')
