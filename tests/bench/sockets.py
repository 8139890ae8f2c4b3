"""A service that opens every WebSocket and then says nothing.

    sockets.py PORT
"""
import asyncio, base64, hashlib, sys

from machine import raise_limits


async def talk(reader, writer):
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return  # whoever only looked whether somebody is here
    keys = [line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")]
    if not keys:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return
    accept = base64.b64encode(hashlib.sha1(keys[0] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while await reader.read(4096):
        pass


async def main():
    server = await asyncio.start_server(talk, "127.0.0.1", int(sys.argv[1]), limit=4096, backlog=1024)
    await server.serve_forever()


raise_limits()
asyncio.run(main())
