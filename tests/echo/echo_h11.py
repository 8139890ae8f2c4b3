"""Tells how h11 reads what it is sent: `echo_h11.py PORT HEARD`. Each whole request is a line of HEARD."""
import asyncio, json, sys, urllib.parse

import h11

text = lambda raw: raw.decode("latin-1")


async def serve(reader, writer):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65536)

    async def event():
        while (one := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        return one

    def send(one):
        writer.write(connection.send(one) or b"")

    try:
        while isinstance(request := await event(), h11.Request):
            body, trailers = b"", []
            if connection.they_are_waiting_for_100_continue:
                send(h11.InformationalResponse(status_code=100, headers=[]))
            while not isinstance(one := await event(), h11.EndOfMessage):
                body += one.data
            trailers = [[text(name), text(value)] for name, value in one.headers]
            target = text(request.target)
            path, _, query = target.partition("?")
            told = json.dumps({
                "method": text(request.method),
                "target": target,
                "path": urllib.parse.unquote(path, errors="strict"),
                "query": query,
                "fields": [[text(name), text(value)] for name, value in request.headers],
                "body": body.hex(),
                "trailers": trailers,
            }).encode()
            heard.write(f"{text(request.method)} {target}\n")
            heard.flush()
            send(h11.Response(status_code=200, headers=[("content-length", str(len(told)))]))
            if request.method != b"HEAD":
                send(h11.Data(data=told))
            send(h11.EndOfMessage())
            await writer.drain()
            if connection.states[h11.SERVER] is not h11.DONE:
                break
            connection.start_next_cycle()
    except h11.RemoteProtocolError as error:
        writer.write(f"HTTP/1.1 400 Bad Request\r\nconnection: close\r\nx-why: {error}\r\ncontent-length: 0\r\n\r\n".encode("latin-1", "replace"))
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


heard = open(sys.argv[2], "w", encoding="latin-1")
asyncio.run(main())
