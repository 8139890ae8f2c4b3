"""Many clients who say nothing: opens connections, shows a cookie once on each, and holds them until told to end.

    crowd.py (kept|websockets) COUNT PORT HOST COOKIE
"""
import base64, socket, ssl, sys

from machine import raise_limits

KIND, COUNT, PORT, HOST, COOKIE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
TLS = ssl._create_unverified_context()
TLS.set_alpn_protocols(["http/1.1"])


def request():
    asked = f"GET / HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nCookie: {COOKIE}\r\n"
    if KIND == "websockets":
        key = base64.b64encode(b"0123456789abcdef").decode()
        asked += f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nOrigin: https://{HOST}:{PORT}\r\n"
    return (asked + "\r\n").encode()


def opened(nth):
    # From several addresses, as a crowd comes.
    stream = socket.create_connection(("127.0.0.1", PORT), 20, (f"127.0.{1 + nth % 100}.{1 + nth // 100 % 200}", 0))
    stream = TLS.wrap_socket(stream, server_hostname=HOST)
    stream.sendall(request())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = stream.recv(65536)
        if not piece:
            break
        answer += piece
    status = answer.split(b" ")[1:2]
    if status != [b"101" if KIND == "websockets" else b"200"]:
        sys.exit(f"connection {nth}: {answer[:300]}")
    length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    missing = int(length or 0) - len(answer.partition(b"\r\n\r\n")[2])
    while missing > 0:
        missing -= len(stream.recv(missing))
    return stream


raise_limits()
held = [opened(nth) for nth in range(COUNT)]
print(len(held), flush=True)
sys.stdin.read()
