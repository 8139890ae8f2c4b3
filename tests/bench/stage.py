"""The stage on which everything is compared: a gateway with a tenant, its apps and policies, the service behind it, and
a session. The service is nginx: 1 KiB in an answer, TLS 1.3, and a client's certificate is demanded."""
import os, pathlib, re, socket, subprocess, sys, time, urllib.request

from browser import Browser
from machine import HERE, MEASURED, REST, ROOT, Processes, free_port, memory, need, sh, wait_for

BODY = "x" * 1024
EMAIL, PASSWORD = "bench@lab.example", "a long bench passphrase 42"
TARGET = "/studies/S-1/records/R-1"
POLICIES = 1000


def policies(app, matching):
    """What can match at `app`: three that look at groups, attributes and assurance, and more of the kind."""
    here = f'resource is Record in App::"{app}"'
    texts = [
        f'permit (principal in Group::"readers", action in Action::"read", {here});',
        f'forbid (principal, action, {here}) when {{ resource.study == "S-7" && context.assurance < 2 }};',
        f'permit (principal, action == Action::"GET", resource in App::"{app}") when {{ principal is User && context.assurance >= 3 }};',
    ]
    texts += [f'permit (principal in Group::"readers", action in Action::"read", {here}) when {{ resource.study == "S-{n}" }};' for n in range(3, matching)]
    return "\n".join(texts)


class Stage(Processes):
    here = HERE

    def __init__(self, folder, config=""):
        """`config`: more of the gateway's configuration."""
        super().__init__()
        self.dir, self.config = folder, config
        self.front, self.ops, self.machines, self.up_port, self.sink_port, self.socket_port = (free_port() for _ in range(6))
        self.binary = pathlib.Path(os.environ.get("CARDEA_BENCH_BIN") or ROOT / "target/dist/cardea")
        self.log = folder / "cardea.log"
        self.cookies = {}
        self.certificates()
        self.gateway = self.open()
        self.served = self.enrol("records")
        self.service()
        self.sign_in()

    def certificates(self):
        d = self.dir
        sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=bench",
           "-addext", "subjectAltName=DNS:*.bench.localhost,DNS:bench.localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", d / "front.key", "-out", d / "front.pem")
        (d / "front.both").write_text((d / "front.pem").read_text() + (d / "front.key").read_text())

    def resources(self):
        """A tenant with 1,000 policies: 3 can match at the app `records`, 10 at `ten`, the rest at twenty others."""
        lab = self.dir / "resources/tenants/lab"
        for folder in ("apps", "clients", "groups", "policies"):
            (lab / folder).mkdir(parents=True)
        (lab / "tenant.toml").write_text('id = "lab"\nname = "Lab"\nsign_in_host = "bench.localhost"\n')
        (lab / "groups/readers.toml").write_text('id = "readers"\nname = "Readers"\n')
        (lab / "clients/loader.toml").write_text(
            'id = "loader"\nname = "Loader"\ngrants = ["client_credentials"]\nauthentication = "client_secret"\napps = ["records"]\nscope = ["read"]\ngroups = ["readers"]\n')
        for name in ["records", "ten", *(f"other-{n}" for n in range(20))]:
            self.app(lab, name, self.over_mtls())
        for name, upstream in self.open_apps().items():
            self.app(lab, name, upstream)
            (lab / f"policies/{name}.cedar").write_text(f'permit (principal in Group::"readers", action, resource in App::"{name}");')
        others = POLICIES - 3 - 10 - len(self.open_apps())
        (lab / "policies/records.cedar").write_text(policies("records", 3))
        (lab / "policies/ten.cedar").write_text(policies("ten", 10))
        (lab / "policies/others.cedar").write_text("\n".join(
            f'permit (principal in Group::"readers", action in Action::"read", resource is Record in App::"other-{n % 20}") when {{ resource.study == "S-{n}" }};'
            for n in range(others)))
        return self.dir / "resources"

    def over_mtls(self):
        return f'url = "https://127.0.0.1:{self.up_port}"\nspiffe_id = "spiffe://lab.cardea.internal/service/records"'

    def open_apps(self):
        """Apps at which whoever may read may do everything: large files, and WebSockets."""
        return {"files": self.over_mtls(), "sockets": f'url = "http://127.0.0.1:{self.socket_port}"'}

    @staticmethod
    def app(lab, name, upstream):
        (lab / f"apps/{name}.toml").write_text(
            f'id = "{name}"\nname = "{name}"\nhosts = ["{name}.bench.localhost"]\n\n[upstream]\n{upstream}\n\n'
            '[[resources]]\npattern = "/studies/{study}/records/{record}"\ntype = "Record"\n')

    def cardea(self, *arguments):
        return sh(self.binary, "--config", self.dir / "cardea.toml", *arguments)

    def open(self):
        d = self.dir
        self.configure(d / "cardea.toml", d / "state", self.front, self.ops, self.machines)
        self.cardea("apply", "--yes", self.resources())
        began = time.perf_counter()
        child = self.serve(d / "cardea.toml", self.ops, self.log)
        self.ready = time.perf_counter() - began
        time.sleep(1)  # memory is read once start-up work has settled
        self.idle = memory(child.pid)
        return child

    def configure(self, path, state, front, ops, machines):
        d = self.dir
        path.write_text(
            f'[state]\ndir = "{state}"\n[[listeners]]\naddress = "127.0.0.1:{front}"\ntls = {{ certificate = "{d}/front.pem", key = "{d}/front.key" }}\n'
            f'[ops]\naddress = "127.0.0.1:{ops}"\n[machines]\naddress = "127.0.0.1:{machines}"\n[log]\nlevel = "warn"\n{self.config}' + os.environ.get("CARDEA_BENCH_CONFIG", ""))

    def serve(self, config, ops, log):
        """A gateway, once it is ready."""
        wrapper = os.environ.get("CARDEA_BENCH_UNDER", "").split()
        child = self.start([*wrapper, self.binary, "--config", config, "serve"], MEASURED, stdout=open(log, "w"), stderr=subprocess.STDOUT)
        while not self.is_ready(ops):
            if child.poll() is not None:
                sys.exit("bench: the gateway ended:\n" + log.read_text())
            time.sleep(0.002)
        return child

    @staticmethod
    def is_ready(ops):
        try:
            with socket.create_connection(("127.0.0.1", ops), 1) as s:
                s.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return b" 200 " in s.recv(100)
        except OSError:
            return False

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ops}/metrics") as answer:
            return answer.read().decode()

    def enrol(self, service):
        """A certificate for a service, by the same way that a service's operator takes."""
        d = self.dir
        (d / f"{service}.token").write_text(self.cardea("cert", "token", "--tenant", "lab", "--service", service).strip().splitlines()[-1].split()[-1])
        (d / "root.pem").write_text(self.cardea("cert", "root"))
        out = d / f"agent-{service}"
        sh(self.binary, "agent", "--server", f"https://bench.localhost:{self.machines}", "--bundle", d / "root.pem", "--token-file", d / f"{service}.token", "--dir", out, "--once")
        chain, end = (out / "cert.pem").read_text(), "-----END CERTIFICATE-----\n"
        leaf, _, above = chain.partition(end)
        (out / "both.pem").write_text(chain + (out / "key.pem").read_text())
        (out / "leaf.pem").write_text(leaf + end + (out / "key.pem").read_text())
        (out / "above.pem").write_text(above)
        return out

    def service(self):
        """The service, over mTLS. What is sent to `/take` it passes on to `sink_port`, since nginx alone answers before it has
        read a body."""
        files = self.dir / "files"
        files.mkdir()
        with open(files / "gib", "wb") as gib:
            gib.truncate(1 << 30)
        tls = (f"ssl_certificate {self.served}/cert.pem; ssl_certificate_key {self.served}/key.pem; ssl_protocols TLSv1.3;"
               f" ssl_client_certificate {self.served}/bundle.pem; ssl_verify_client on; ssl_verify_depth 3;")
        answer = (f"default_type text/plain; client_max_body_size 0; location / {{ return 200 \"{BODY}\"; }}"
                  f" location = /gib {{ root {files}; }}"
                  f" location = /take {{ proxy_pass http://127.0.0.1:{self.sink_port}; proxy_http_version 1.1; proxy_request_buffering off; }}")
        self.nginx("service", REST, f"server {{ listen 127.0.0.1:{self.up_port} ssl; {tls} {answer} }}", self.up_port)

    def nginx(self, name, core, servers, port):
        d = self.dir / name
        d.mkdir()
        conf, log = d / "nginx.conf", d / "error.log"
        # The files are in a folder that only who runs this may read.
        user = "user root;" if os.getuid() == 0 else ""
        conf.write_text(f"daemon off; {user} worker_processes 1; pid {d}/pid; error_log {log} warn; worker_rlimit_nofile 16000;\nevents {{ worker_connections 15000; }}\n"
                        f"http {{ access_log off; keepalive_requests 10000000; keepalive_timeout 600s; client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;\n{servers}\n}}\n")
        child = self.start(["nginx", "-c", conf, "-p", d, "-e", log], core)
        wait_for(port, child, log)
        return child

    def sign_in(self):
        """One person, one session, and its cookie at each app."""
        browser = Browser()
        told = self.cardea("user", "invite", "--tenant", "lab", EMAIL, "--name", "Bench", "--group", "readers")
        browser.submit(browser.send("GET", re.search(r"https?://\S+", told).group(0)), password=PASSWORD, again=PASSWORD)
        for app in ("records", "ten", *self.open_apps()):
            self.cookies[app] = self.enter(browser, app)

    def enter(self, browser, app):
        """Opens an app in a browser, which signs in where it has to; gives its cookie there."""
        page = browser.send("GET", f"https://{app}.bench.localhost:{self.front}{TARGET}")
        for _ in range(4):
            if 'name="password"' in page[2]:
                page = browser.submit(page, password=PASSWORD)
            elif 'name="email"' in page[2]:
                page = browser.submit(page, email=EMAIL)
        if app != "sockets" and (page[0] != 200 or BODY not in page[2]):
            sys.exit(f"bench: the signed-in request ended with {page[0]} at {page[1]}:\n{page[2][:2000]}")
        return browser.cookie(f"{app}.bench.localhost")
