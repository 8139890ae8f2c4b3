"""Sends so many requests a second, evenly, and tells in JSON how long each took from the moment at which it was due: a request that
waits because the one before it is late waits in the figures, too.

    pace.py PORT HOST TARGET COOKIE RATE SECONDS CONNECTIONS
"""
import json, queue, select, socket, ssl, sys, threading, time

PORT, HOST, TARGET, COOKIE = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
RATE, SECONDS, CONNECTIONS = int(sys.argv[5]), int(sys.argv[6]), int(sys.argv[7])
REQUEST = f"GET {TARGET} HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nCookie: {COOKIE}\r\n\r\n".encode()
TLS = ssl._create_unverified_context()


class Connection:
    def __init__(self):
        self.stream = TLS.wrap_socket(socket.create_connection(("127.0.0.1", PORT)), server_hostname=HOST)
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream.setblocking(False)
        self.came, self.due = b"", 0.0

    def whole_answer(self):
        """The status of an answer once all of it is here; 0 where the connection has ended."""
        try:
            while piece := self.stream.recv(65536):
                self.came += piece
        except ssl.SSLWantReadError:
            head, _, body = self.came.partition(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            if not length or len(body) < int(length):
                return None
            self.came = b""
            return int(head[9:12])
        except OSError:
            pass
        return 0


def send(idle, begin, failures):
    for nth in range(RATE * SECONDS):
        due = begin + nth / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        connection = idle.get()
        connection.due = due
        try:
            connection.stream.send(REQUEST)
        except OSError:
            failures.append(nth)


def main():
    # Who sends waits for who reads at most so long, and not the usual 5 ms: that would be measured instead.
    sys.setswitchinterval(5e-5)
    connections = [Connection() for _ in range(CONNECTIONS)]
    by_number, idle, failures, took = {c.stream.fileno(): c for c in connections}, queue.SimpleQueue(), [], []
    waiting = select.epoll()
    for number in by_number:
        waiting.register(number, select.EPOLLIN)
        idle.put(by_number[number])
    begin = time.perf_counter() + 0.1
    threading.Thread(target=send, args=(idle, begin, failures), daemon=True).start()
    end = begin + SECONDS + 10
    while len(took) + len(failures) < RATE * SECONDS and time.perf_counter() < end:
        for number, _ in waiting.poll(1):
            connection = by_number[number]
            status = connection.whole_answer()
            if status is None:
                continue
            if status == 200:
                took.append((time.perf_counter() - connection.due) * 1e6)
                idle.put(connection)
                continue
            failures.append(number)
            if status:
                idle.put(connection)
                continue
            waiting.unregister(number)
            other = Connection()
            by_number[other.stream.fileno()] = other
            waiting.register(other.stream.fileno(), select.EPOLLIN)
            idle.put(other)
    took.sort()
    print(json.dumps({"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100], "failed": RATE * SECONDS - len(took)}))


main()
