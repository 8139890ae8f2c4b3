"""A client of HTTP/3 that was not written here: what it is answered, a line of JSON for each request of its one connection."""

import argparse
import asyncio
import json
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.answers = {}

    def begin(self, headers, body):
        stream = self._quic.get_next_available_stream_id()
        done = asyncio.get_running_loop().create_future()
        self.answers[stream] = (done, {"headers": {}, "body": 0})
        self.http.send_headers(stream, headers, end_stream=not body)
        if body:
            self.http.send_data(stream, b"x" * body, end_stream=True)
        self.transmit()
        return done

    def quic_event_received(self, event):
        for http in self.http.handle_event(event):
            done, answer = self.answers[http.stream_id]
            if isinstance(http, HeadersReceived):
                answer["headers"].update((name.decode(), value.decode()) for name, value in http.headers)
            elif isinstance(http, DataReceived):
                answer["body"] += len(http.data)
            if http.stream_ended:
                done.set_result(answer)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--roots", required=True, help="PEM file")
    parser.add_argument("requests", nargs="+", help="METHOD,PATH,BYTES,COOKIE; all are sent at once")
    given = parser.parse_args()
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, server_name=given.host)
    configuration.load_verify_locations(given.roots)
    async with connect("127.0.0.1", given.port, configuration=configuration, create_protocol=Client) as client:
        waiting = []
        for request in given.requests:
            method, path, size, cookie = request.split(",")
            headers = [(":method", method), (":scheme", "https"), (":authority", given.host), (":path", path)]
            if cookie:
                headers.append(("cookie", cookie))
            if int(size):
                headers.append(("content-length", size))
            waiting.append(client.begin([(name.encode(), value.encode()) for name, value in headers], int(size)))
        for answer in await asyncio.wait_for(asyncio.gather(*waiting), 30):
            json.dump(answer, sys.stdout)
            print()


asyncio.run(main())
