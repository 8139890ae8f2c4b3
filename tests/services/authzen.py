"""A service that asks before it acts, with the certificate that the agent keeps and Python's own HTTP.

    authzen.py PORT HOST ROOT FOLDER < QUESTIONS

Reads lines of JSON (method, path, headers, body as text) and prints a line of JSON for each answer. FOLDER is empty for a
service that has no certificate.
"""
import http.client
import json
import os
import socket
import ssl
import sys

port, host, root, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
context = ssl.create_default_context(cafile=root)
if folder:
    context.load_cert_chain(os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))
for line in sys.stdin:
    asked = json.loads(line)
    connection = http.client.HTTPConnection(host)
    connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=host)
    connection.request(asked["method"], asked["path"], asked["body"].encode(), asked["headers"])
    answer = connection.getresponse()
    body = answer.read().decode()
    print(json.dumps({"status": answer.status, "headers": {k.lower(): v for k, v in answer.getheaders()}, "body": body}))
    connection.close()
