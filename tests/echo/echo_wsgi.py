"""Tells how gunicorn reads what it is sent. Each whole request is a line of the file that `ECHO_HEARD` names."""
import json, os

heard = open(os.environ["ECHO_HEARD"], "a", encoding="latin-1")


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    length = environ.get("CONTENT_LENGTH")
    if length and int(length) != len(body):
        # The other side went away: what came of it is no request.
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []
    # CGI's names: a hyphen has become a low line, which is what makes some names two.
    fields = [[name[5:].replace("_", "-"), value] for name, value in environ.items() if name.startswith("HTTP_")]
    fields += [[name.replace("_", "-"), environ[name]] for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)]
    told = json.dumps({
        "method": environ["REQUEST_METHOD"],
        "target": environ["RAW_URI"],
        "path": environ["PATH_INFO"].encode("latin-1").decode("utf-8"),
        "query": environ["QUERY_STRING"],
        "fields": fields,
        "body": body.hex(),
        "trailers": None,
    }).encode()
    heard.write(f"{environ['REQUEST_METHOD']} {environ['RAW_URI']}\n")
    heard.flush()
    start_response("200 OK", [("Content-Length", str(len(told)))])
    return [told]
