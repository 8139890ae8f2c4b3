"""A Datasette plugin for the stories: writes down what each request brought, and has one page that changes something.

The log is one JSON object a line, in the file that `WITNESS_LOG` names. Datasette knows nothing of Cardea beyond that.
"""

import json
import os

from datasette import Response, hookimpl

FORM = """<!doctype html><html lang="en"><title>Note</title>
<form method="post"><input type="hidden" name="csrftoken" value="{token}">
<label>Note <input name="note"></label><button>Keep</button></form>"""


async def note(request, datasette):
    if request.method != "POST":
        return Response.html(FORM.format(token=request.scope["csrftoken"]()))
    text = (await request.post_vars())["note"]
    await datasette.get_database("lab").execute_write("insert into notes (note) values (?)", [text])
    return Response.redirect("/lab/notes")


@hookimpl
def register_routes():
    return [(r"^/-/note$", note)]


@hookimpl
def asgi_wrapper():
    def wrap(app):
        async def witness(scope, receive, send):
            if scope["type"] == "http":
                headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
                line = {"method": scope["method"], "path": scope["path"], "headers": headers}
                with open(os.environ["WITNESS_LOG"], "a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
            await app(scope, receive, send)

        return witness

    return wrap
