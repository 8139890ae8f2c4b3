"""What the machine gives: programs, ports, processes and what they use."""
import os, pathlib, re, resource, shutil, signal, socket, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = ROOT / "tests/bench"
TICKS = os.sysconf("SC_CLK_TCK")
# Everything measured has the one core to itself; load, services and checkers of others share what is left.
MEASURED, REST = 0, 1
# Before a program that gets of its core only what others leave: whoever else wakes there goes first, and at once.
STANDS_BACK = ("chrt", "--idle", "0")


def need(command, package):
    if not (shutil.which(command) or os.path.exists(command)):
        if os.getuid() != 0:
            sys.exit(f"bench: please install first: sudo apt-get install {package}")
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], check=True, stdout=subprocess.DEVNULL)


def sh(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def raise_limits():
    """As many open files as this machine allows; children inherit it. Gives their number."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for wanted in (65536, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            break
        except (ValueError, PermissionError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def tree(pid):
    """A process and its children: nginx and Apache work in those."""
    found = [pid]
    for child in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for one in child.read_text().split():
            found += tree(int(one))
    return found


def cpu(pids):
    """Seconds of CPU, in and out of the kernel, that these processes have used."""
    total = 0
    for one in (one for pid in pids for one in tree(pid)):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def busy(core):
    """Seconds that this core was not idle, and those that the machine under this one took from it."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _, _, irq, softirq, steal = map(int, ticks[:8])
            return (user + nice + system + irq + softirq + steal) / TICKS
    sys.exit(f"bench: there is no core {core}")


def memory(pid):
    """MiB that a process and its children hold."""
    found = 0
    for one in tree(pid):
        found += int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{one}/status").read_text()).group(1))
    return found / 1024


class Processes:
    """Programs that were started, and are ended with the run."""

    def __init__(self):
        self.children = []

    def start(self, command, core, **more):
        child = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], **more)
        self.children.append(child)
        return child

    def end(self):
        for child in reversed(self.children):
            child.send_signal(signal.SIGTERM)
        for child in reversed(self.children):
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


def wait_for(port, child, log):
    """Until somebody answers at `port`; the program's log if it ends before."""
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if child.poll() is not None:
                break
            time.sleep(0.01)
    sys.exit(f"bench: {' '.join(child.args)} does not answer:\n" + (log.read_text() if log.exists() else ""))
