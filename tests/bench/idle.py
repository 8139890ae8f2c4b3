"""Memory of many who are connected and say nothing."""
import resource, subprocess, sys, time

from machine import HERE, REST, memory, wait_for

COUNT = 10_000
KEPT, WEBSOCKETS = 250, 400
# Seconds. A connection rests ten after its last request at the latest (`listener/quiet.rs`).
SETTLE = 12
# Open files that the gateway needs beside its connections.
SPARE = 400


def run(stage, sides, options, table):
    server = stage.start([sys.executable, HERE / "sockets.py", stage.socket_port], REST)
    wait_for(stage.socket_port, server, stage.log)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE
    hold(stage, "kept", "files", min(COUNT, files), KEPT, table)
    # Each has a connection to its service, too.
    hold(stage, "websockets", "sockets", min(COUNT, files // 2), WEBSOCKETS, table)


def hold(stage, kind, app, count, limit, table):
    command = [sys.executable, HERE / "crowd.py", kind, count, stage.front, f"{app}.bench.localhost", stage.cookies[app]]
    crowd = stage.start(command, REST, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if crowd.stdout.readline().strip() != str(count):
        sys.exit(f"bench: not all {count} {kind} connections could be opened; the gateway says:\n" + stage.log.read_text()[-2000:])
    time.sleep(SETTLE)
    found = memory(stage.gateway.pid)
    crowd.stdin.close()
    crowd.wait()
    stage.children.remove(crowd)
    each = (found - stage.idle) * 1024 / count
    # Fewer than wanted only where this machine allows no more open files: what each takes is then reckoned for all.
    whole = stage.idle + each * COUNT / 1024
    table.at_most(f"memory with {COUNT} idle {kind}", whole, limit, "{:.0f} MiB", f"{whole:.0f} MiB, {each:.1f} KiB each" + (f" (of {count}: no more files may be open here)" if count != COUNT else ""))
