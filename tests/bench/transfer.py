"""One gibibyte, down and up."""
import re, socket, statistics, threading, time

import peers
from load import Side
from machine import REST, memory, sh
from table import spread

SIZE = 1 << 30
WANTED = 0.8
# More than the buffers of one connection need would grow with the body.
FLAT = 16


class Watched:
    """The most memory that a process held meanwhile, over what it held before."""

    def __init__(self, pid):
        self.pid, self.before, self.most, self.over = pid, memory(pid), 0, threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def look(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, memory(self.pid))

    @property
    def grown(self):
        return self.most - self.before


def sink(port):
    """Takes every body whole, and then says so."""
    server = socket.create_server(("127.0.0.1", port), backlog=16)
    buffer = bytearray(1 << 20)

    def take(stream):
        with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += stream.recv(65536)
            head, _, begun = head.partition(b"\r\n\r\n")
            left = int(re.search(rb"content-length: *(\d+)", head, re.I).group(1)) - len(begun)
            while left > 0 and (came := stream.recv_into(buffer)):
                left -= came
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\ntaken" if left <= 0 else b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    def serve():
        while True:
            take(server.accept()[0])

    threading.Thread(target=serve, daemon=True).start()


def run(stage, sides, options, table):
    if "nginx" not in sides:
        return
    sink(stage.sink_port)
    cardea = peers.cardea(stage, "files")
    nginx = Side("nginx", cardea.host, sides["nginx"].port, cardea.cookie, *sides["nginx"].children)
    for way, target, more in (("down", "/gib", []), ("up", "/take", ["-T", stage.dir / "files/gib"])):
        speeds, costs, grown = [], [], []
        for _ in range(options.rounds):
            theirs, _ = passed(nginx, target, more)
            with Watched(stage.gateway.pid) as watched:
                ours, cost = passed(cardea, target, more)
            speeds.append(ours / theirs)
            costs.append(cost)
            grown.append(watched.grown)
        table.at_least(f"1 GiB {way}, speed beside nginx", statistics.median(speeds), WANTED, found=f"{spread(speeds, '{:.2f}')} ×, {statistics.median(costs):.2f} s of CPU")
        table.at_most(f"1 GiB {way}, memory grows by", max(grown), FLAT, "{:.1f} MiB")


def passed(side, target, more):
    """Bytes a second, and seconds of CPU."""
    before, began = side.cpu(), time.perf_counter()
    out = sh("taskset", "-c", REST, "curl", "-sk", "--http1.1", "--connect-to", f"{side.host}:{side.port}:127.0.0.1:{side.port}", "-H", f"Cookie: {side.cookie}", "-H", "Expect:", *more,
             "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{size_upload}", side.url(target))
    took = time.perf_counter() - began
    status, down, up = map(int, out.split())
    if status != 200 or max(down, up) != SIZE:
        raise SystemExit(f"bench: {side.name}: {target} ended with {out}")
    return SIZE / took, side.cpu() - before
