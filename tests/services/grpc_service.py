"""A gRPC service of Python's own kind, over HTTP/2 without TLS. It prints where it listens.

Unary gives back what it got, Server says it three times, Client joins all with `+`, Both gives back one by one.
"""
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf.wrappers_pb2 import StringValue


def unary(asked, context):
    if asked.value == "fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked")
    return asked


def server(asked, _):
    for nth in range(1, 4):
        yield StringValue(value=f"{asked.value} {nth}")


def client(asked, _):
    return StringValue(value="+".join(one.value for one in asked))


def both(asked, _):
    yield from asked


HANDLERS = {
    "Unary": (grpc.unary_unary_rpc_method_handler, unary),
    "Server": (grpc.unary_stream_rpc_method_handler, server),
    "Client": (grpc.stream_unary_rpc_method_handler, client),
    "Both": (grpc.stream_stream_rpc_method_handler, both),
}


class AnyService(grpc.GenericRpcHandler):
    """Answers these methods under every service's name."""

    def service(self, details):
        make, behaviour = HANDLERS[details.method.rsplit("/", 1)[-1]]
        return make(behaviour, StringValue.FromString, StringValue.SerializeToString)


serving = grpc.server(ThreadPoolExecutor(max_workers=16))
serving.add_generic_rpc_handlers([AnyService()])
port = serving.add_insecure_port("127.0.0.1:0")
serving.start()
print(port, flush=True)
serving.wait_for_termination()
