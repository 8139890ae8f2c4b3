"""A WebSocket service made with `websockets`. It prints where it listens.

It gives back every message, but closes with 4000 when it reads `close`.
"""
import asyncio

import websockets


async def serve(socket):
    async for message in socket:
        if message == "close":
            await socket.close(4000, "as asked")
        await socket.send(message)


async def main():
    async with websockets.serve(serve, "127.0.0.1", 0, max_size=None, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
