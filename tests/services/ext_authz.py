"""Asks a question of Envoy's external authorization, with Google's own gRPC library.

    ext_authz.py PORT QUESTION [ROOT FOLDER]

QUESTION is JSON: method, path, host, scheme, client, headers. Prints the answer as JSON. With ROOT, over mTLS with
the certificate in FOLDER.
"""
import json
import pathlib
import sys
import tempfile

import grpc
from grpc_tools import protoc

protocols = pathlib.Path(__file__).resolve().parents[2] / "gateway" / "protocols"
port, question = sys.argv[1], json.loads(sys.argv[2])
with tempfile.TemporaryDirectory() as out:
    files = [str(path) for path in sorted(protocols.rglob("*.proto")) if "target" not in path.parts]
    if protoc.main(["protoc", f"-I{protocols}", f"--python_out={out}", *files]):
        sys.exit("the protocol does not compile")
    sys.path.insert(0, out)
    # Packages of their own, before another one of that name.
    for folder in [pathlib.Path(out, "envoy"), *pathlib.Path(out, "envoy").rglob("*/")]:
        (folder / "__init__.py").touch()
    from envoy.service.auth.v3 import external_auth_pb2 as auth

    request = auth.CheckRequest()
    attributes = request.attributes
    attributes.source.address.socket_address.address = question["client"]
    http = attributes.request.http
    http.method, http.path, http.host, http.scheme = (question[name] for name in ("method", "path", "host", "scheme"))
    http.headers.update({":path": question["path"], **question["headers"]})
    if len(sys.argv) > 3:
        root, folder = (pathlib.Path(name) for name in sys.argv[3:5])
        own = [(folder / name).read_bytes() for name in ("key.pem", "cert.pem")]
        credentials = grpc.ssl_channel_credentials(root.read_bytes(), *own)
        named = [("grpc.ssl_target_name_override", "acme.localhost")]
        opened = grpc.secure_channel(f"127.0.0.1:{port}", credentials, named)
    else:
        opened = grpc.insecure_channel(f"127.0.0.1:{port}")
    with opened as channel:
        check = channel.unary_unary(
            "/envoy.service.auth.v3.Authorization/Check",
            request_serializer=auth.CheckRequest.SerializeToString,
            response_deserializer=auth.CheckResponse.FromString,
        )
        answer = check(request, timeout=20)

told = {"code": answer.status.code}
which = answer.WhichOneof("http_response")
inner = getattr(answer, which)
told["set"] = {one.header.key: one.header.value for one in inner.headers}
if which == "denied_response":
    told["status"], told["body"] = inner.status.code, inner.body
else:
    told["remove"] = list(inner.headers_to_remove)
print(json.dumps(told))
