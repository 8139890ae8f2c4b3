"""A service that was never made for Cardea: Python's own HTTP server, mTLS with the files that the agent keeps.

    mtls.py PORT FOLDER SPIFFE_ID

Answers whoever shows a certificate for SPIFFE_ID, and tells the serials of both certificates. What it is told by POST it says in a line.
"""
import http.server
import json
import os
import ssl
import sys

port, folder, wanted = int(sys.argv[1]), sys.argv[2], sys.argv[3]
cert, key, bundle = (os.path.join(folder, name) for name in ("cert.pem", "key.pem", "bundle.pem"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        peer = self.connection.getpeercert()
        names = [value for kind, value in peer.get("subjectAltName", ()) if kind == "URI"]
        status = 200 if names == [wanted] else 403
        body = json.dumps({"client": peer.get("serialNumber"), "names": names}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        # Connections are kept for a while and not for ever, as most servers do.
        self.served = getattr(self, "served", 0) + 1
        if self.served == 10:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)
        return status == 200

    def do_POST(self):
        said = self.rfile.read(int(self.headers["content-length"])).decode()
        if self.do_GET():
            print("told", self.path, said, flush=True)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Reads the files anew when the agent has replaced them: the certificate is the last of the three."""

    written = None

    def get_request(self):
        stream, address = self.socket.accept()
        now = os.stat(cert).st_mtime_ns
        if now != self.written:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(cert, key)
            self.context.load_verify_locations(bundle)
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.written = now
        return self.context.wrap_socket(stream, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", port), Handler)
print("ready", flush=True)
server.serve_forever()
