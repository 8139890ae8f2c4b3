"""Enough of a browser to sign in: cookies by host, forms, redirects."""
import http.client, re, socket, ssl, sys, urllib.parse


class Browser:
    def __init__(self):
        self.jars = {}
        self.tls = ssl._create_unverified_context()

    def cookie(self, host):
        return "; ".join(f"{name}={value}" for name, value in self.jars.get(host, {}).items())

    def send(self, method, url, body=None):
        parts = urllib.parse.urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        jar = self.jars.setdefault(parts.hostname, {})
        # Every name is this machine: `*.localhost` does not resolve everywhere.
        stream = socket.create_connection(("127.0.0.1", port))
        if parts.scheme == "https":
            stream = self.tls.wrap_socket(stream, server_hostname=parts.hostname)
        connection = http.client.HTTPConnection(parts.hostname, port)
        connection.sock = stream
        headers = {"Host": parts.netloc, "Accept": "text/html"}
        if jar:
            headers["Cookie"] = self.cookie(parts.hostname)
        if body is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"{parts.scheme}://{parts.netloc}", "Sec-Fetch-Site": "same-origin"}
        connection.request(method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        for line in reply.headers.get_all("Set-Cookie") or []:
            name, _, value = line.split(";")[0].partition("=")
            jar[name] = value
        connection.close()
        if reply.status in (301, 302, 303, 307):
            return self.send("GET", urllib.parse.urljoin(url, reply.headers["Location"]))
        return reply.status, url, text

    def submit(self, page, **fields):
        status, url, text = page
        for form in re.findall(r"<form.*?</form", text, re.S):
            if all(f'name="{name}"' in form for name in fields):
                plain = lambda value: value.replace("&amp;", "&").replace("&#38;", "&")
                action = re.search(r'<form[^>]*?action="([^"]*)"', form)
                hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form)
                data = {name: plain(value) for name, value in hidden} | fields
                to = urllib.parse.urljoin(url, plain(action.group(1) if action else url))
                return self.send("POST", to, urllib.parse.urlencode(data))
        sys.exit(f"bench: no form with {list(fields)} at {url} ({status}):\n{text[:2000]}")
