"""A gRPC client of Python's own kind, over TLS.

    grpc_client.py ROOTS

Reads one call a line as JSON from its input, and writes how it ended as one line of JSON. A call that is held first
says what it heard, and stays open until the other side ends it.
"""
import json
import queue
import sys

import grpc
from google.protobuf.wrappers_pb2 import StringValue

with open(sys.argv[1], "rb") as file:
    credentials = grpc.ssl_channel_credentials(file.read())

PATIENCE = 30


def tell(what):
    print(json.dumps(what), flush=True)


def in_turn(messages, heard, hold):
    """Each message after the answer to the last; then the end, or never."""
    for nth, message in enumerate(messages):
        if nth:
            heard.get(timeout=PATIENCE)
        yield message
    if hold:
        heard.get(timeout=PATIENCE)
        heard.get(timeout=PATIENCE)


def make(channel, call):
    kind, messages = call["kind"], [StringValue(value=text) for text in call["messages"]]
    maker = {"Unary": channel.unary_unary, "Server": channel.unary_stream, "Client": channel.stream_unary, "Both": channel.stream_stream}[kind]
    rpc = maker(call["method"], request_serializer=StringValue.SerializeToString, response_deserializer=StringValue.FromString)
    heard, answers = queue.Queue(), []
    sent = {"Client": lambda: iter(messages), "Both": lambda: in_turn(messages, heard, call["hold"])}.get(kind, lambda: messages[0])()
    metadata = [("cookie", call["cookie"])] if call["cookie"] else []
    try:
        if kind in ("Unary", "Client"):
            answer, ended = rpc.with_call(sent, metadata=metadata, timeout=PATIENCE)
            answers.append(answer.value)
        else:
            ended = rpc(sent, metadata=metadata, timeout=PATIENCE)
            for answer in ended:
                answers.append(answer.value)
                heard.put(answer)
                if call["hold"] and len(answers) == 1:
                    tell(answer.value)
    except grpc.RpcError as error:
        ended = error
    metadata = {name: value for name, value in [*(ended.initial_metadata() or ()), *(ended.trailing_metadata() or ())] if isinstance(value, str)}
    return {"code": ended.code().value[0], "details": ended.details() or "", "messages": answers, "metadata": metadata}


for line in sys.stdin:
    call = json.loads(line)
    options = [("grpc.ssl_target_name_override", call["host"]), ("grpc.default_authority", f"{call['host']}:{call['port']}"), ("grpc.enable_retries", 0)]
    with grpc.secure_channel(f"ipv4:127.0.0.1:{call['port']}", credentials, options) as channel:
        tell(make(channel, call))
