"""A million sessions in Redis, of which a fifth is in use: what the gateway and Redis hold."""
import json, os, pathlib, re, subprocess, sys, tempfile

from machine import REST, ROOT, memory, sh
from stage import Stage, TARGET
import machine, stores

SESSIONS, ACTIVE = 1_000_000, 200_000
GATEWAY, REDIS = 600, 700


class Crowded(Stage):
    def __init__(self, folder):
        servers = machine.Processes()
        self.redis, self.url = stores.redis(servers, folder)
        super().__init__(folder, f'[redis]\nurl = "{self.url}"\n[limits]\nsessions_cached = {ACTIVE + 1000}\n')
        self.children = [*servers.children, *self.children]


def run(stage, sides, options, table):
    with tempfile.TemporaryDirectory() as folder:
        crowded = Crowded(pathlib.Path(folder))
        try:
            crowd(crowded, table)
        finally:
            crowded.end()


def crowd(stage, table):
    port, host = re.search(r":(\d+)/", stage.url).group(1), "records.bench.localhost"

    def held():
        return int(re.search(r"used_memory:(\d+)", sh("redis-cli", "-p", port, "INFO", "memory")).group(1))

    before, handles = held(), stage.dir / "handles"
    told = {"CONFIG": stage.dir / "cardea.toml", "TENANT": "lab", "HOST": host, "SESSIONS": SESSIONS, "HANDLES": handles}
    subprocess.run([rows(), "--ignored", "--exact", "house::tests::crowd::as_many_sessions_as_are_wanted_are_begun"], check=True, stdout=subprocess.DEVNULL,
                   cwd=ROOT / "gateway/server", env=os.environ | {f"CROWD_{name}": str(value) for name, value in told.items()})
    each = (held() - before) / SESSIONS
    name = next(name for name in re.findall(r"([^ =]+)=", stage.cookies["records"]) if name.endswith("cardea"))
    show = stage.dir / "each.lua"
    show.write_text((machine.HERE / "loopback.lua").read_text() + (machine.HERE / "crowd.lua").read_text())
    meets = stage.start(["wrk", "-t1", "-c32", "-d600s", "-s", show, f"https://{host}:{stage.front}{TARGET}", "--", handles, ACTIVE, name], REST,
                        stdout=subprocess.PIPE, text=True)
    met = next((line for line in meets.stdout if line.startswith("crowd:")), "none")
    meets.kill()
    if met.strip() != f"crowd: {ACTIVE} met, 0 refused":
        sys.exit(f"bench: not all {ACTIVE} sessions were let in: {met}\n{stage.log.read_text()[-2000:]}")
    whole = memory(stage.gateway.pid)
    table.at_most(f"memory with {SESSIONS:,} sessions, {ACTIVE:,} of them in use", whole, GATEWAY, "{:.0f} MiB", f"{whole:.0f} MiB, {(whole - stage.idle) * 1024 / ACTIVE:.2f} KiB each")
    table.at_most("Redis for a session with one handle", each, REDIS, "{:.0f} bytes")


def rows():
    """The program with the rows of the server's crate: what begins the sessions is one of them."""
    if "CARDEA_BENCH_ROWS" in os.environ:
        return os.environ["CARDEA_BENCH_ROWS"]
    every = f"0-{os.cpu_count() - 1}"
    command = ["taskset", "-c", every, "cargo", "test", "--lib", "--no-run", "--package", "cardea", "--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return next(found for line in built.splitlines() if (found := json.loads(line).get("executable")))
