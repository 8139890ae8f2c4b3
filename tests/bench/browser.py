"""Enough of a browser to sign in: cookies by host, forms, redirects, and what a page's script sends."""
import http.client, json, re, socket, ssl, sys, urllib.parse


class Browser:
    """`address`: where it calls from, among those of this machine."""

    def __init__(self, address="127.0.0.1"):
        self.jars, self.address = {}, address
        self.tls = ssl._create_unverified_context()
        self.kept = {}

    def cookie(self, host):
        return "; ".join(f"{name}={value}" for name, value in self.jars.get(host, {}).items())

    def send(self, method, url, body=None, kind="application/x-www-form-urlencoded", accept="text/html", follow=True):
        parts = urllib.parse.urlsplit(url)
        jar = self.jars.setdefault(parts.hostname, {})
        connection = self.connection(parts)
        headers = {"Host": parts.netloc, "Accept": accept}
        if jar:
            headers["Cookie"] = self.cookie(parts.hostname)
        if body is not None:
            headers |= {"Content-Type": kind, "Origin": f"{parts.scheme}://{parts.netloc}", "Sec-Fetch-Site": "same-origin"}
        connection.request(method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        for line in reply.headers.get_all("Set-Cookie") or []:
            name, _, value = line.split(";")[0].partition("=")
            jar[name] = value
        if connection.sock is None:
            self.kept.pop(parts.netloc, None)
        if reply.status in (301, 302, 303, 307):
            to = urllib.parse.urljoin(url, reply.headers["Location"])
            return self.send("GET", to) if follow else (reply.status, to, text)
        return reply.status, url, text

    def connection(self, parts):
        """The one to this host, kept as browsers keep it."""
        if parts.netloc not in self.kept:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            # Every name is this machine: `*.localhost` does not resolve everywhere.
            stream = socket.create_connection(("127.0.0.1", port), 60, (self.address, 0))
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if parts.scheme == "https":
                stream = self.tls.wrap_socket(stream, server_hostname=parts.hostname)
            self.kept[parts.netloc] = http.client.HTTPConnection(parts.hostname, port)
            self.kept[parts.netloc].sock = stream
        return self.kept[parts.netloc]

    def close(self):
        """Forgets connections and cookies: the next visit is a new one."""
        for connection in self.kept.values():
            connection.close()
        self.kept, self.jars = {}, {}

    def post(self, url, **fields):
        """As a page's script does; what the answer says."""
        status, _, text = self.send("POST", url, json.dumps(fields), "application/json", "application/json, application/problem+json")
        if status != 200:
            sys.exit(f"bench: {url} answered {status}:\n{text[:2000]}")
        return json.loads(text)

    def submit(self, page, follow=True, **fields):
        """Sends the form that has these fields. `follow`: goes where a redirect leads; else tells where it would."""
        status, url, text = page
        for form in re.findall(r"<form.*?</form", text, re.S):
            if all(f'name="{name}"' in form for name in fields):
                plain = lambda value: value.replace("&amp;", "&").replace("&#38;", "&")
                action = re.search(r'<form[^>]*?action="([^"]*)"', form)
                hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form)
                data = {name: plain(value) for name, value in hidden} | fields
                to = urllib.parse.urljoin(url, plain(action.group(1) if action else url))
                return self.send("POST", to, urllib.parse.urlencode(data), follow=follow)
        sys.exit(f"bench: no form with {list(fields)} at {url} ({status}):\n{text[:2000]}")
