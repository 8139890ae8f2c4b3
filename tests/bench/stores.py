"""The stores of a house of several gateways, empty, each on a port of its own. They have what is left beside what is measured."""
import glob, os, pwd, subprocess

from machine import REST, free_port, need, wait_for


def redis(stage, folder):
    """Sessions in memory alone; gives the process and its URL."""
    need("redis-server", "redis-server")
    port, log = free_port(), folder / "redis.log"
    child = stage.start(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder], REST, stdout=open(log, "w"))
    wait_for(port, child, log)
    return child, f"redis://127.0.0.1:{port}/"


def postgres(stage, folder):
    """What it acknowledges is on its disk; gives the process and the URL of a database."""
    programs = max(glob.glob("/usr/lib/postgresql/*/bin"), default="")
    need(f"{programs}/postgres", "postgresql")
    programs = max(glob.glob("/usr/lib/postgresql/*/bin"))
    data, port, log, run = folder / "postgres", free_port(), folder / "postgres.log", []
    data.mkdir()
    if os.getuid() == 0:
        # It refuses to be root, and has to reach its folder.
        os.chown(data, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
        folder.chmod(0o711)
        run = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
    subprocess.run([*run, f"{programs}/initdb", "--username=cardea", "--auth=trust", "--encoding=UTF8", f"--pgdata={data}"], check=True, stdout=subprocess.DEVNULL, cwd="/")
    child = stage.start([*run, f"{programs}/postgres", "-D", data, "-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
                        REST, stdout=open(log, "w"), stderr=subprocess.STDOUT, cwd="/")
    wait_for(port, child, log)
    return child, f"postgres://cardea@127.0.0.1:{port}/postgres"
