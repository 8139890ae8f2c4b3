"""What Cardea is compared with, each set up as its own documentation says, in front of the same service over mTLS."""
import os, subprocess, sys

from browser import Browser
from load import Side
from machine import MEASURED, REST, free_port, need, wait_for
from stage import BODY, TARGET

HOST = "records.bench.localhost"


def all_of(stage, names):
    makers = {"nginx": nginx, "haproxy": haproxy, "auth_request": auth_request, "openidc": openidc, "caddy": caddy}
    return {name: make(stage) for name, make in makers.items() if name in names}


def cardea(stage, app="records"):
    name = {"records": "Cardea, all checks", "ten": "Cardea, 10 policies match"}.get(app, f"Cardea, {app}")
    return Side(name, f"{app}.bench.localhost", stage.front, stage.cookies[app], stage.gateway)


def front(stage, port):
    return f"listen 127.0.0.1:{port} ssl; ssl_certificate {stage.dir}/front.pem; ssl_certificate_key {stage.dir}/front.key; ssl_protocols TLSv1.3; client_max_body_size 0;"


def upstream(stage):
    s = stage.served
    return (f"proxy_pass https://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host; proxy_request_buffering off; proxy_max_temp_file_size 0;"
            f" proxy_ssl_certificate {s}/cert.pem; proxy_ssl_certificate_key {s}/key.pem; proxy_ssl_protocols TLSv1.3; proxy_ssl_session_reuse on;")


def kept(stage):
    return f"upstream up {{ server 127.0.0.1:{stage.up_port}; keepalive 64; keepalive_requests 10000000; }}\n"


def nginx(stage):
    """nginx that checks nothing."""
    port = free_port()
    child = stage.nginx("nginx", MEASURED, kept(stage) + f"server {{ {front(stage, port)} location / {{ {upstream(stage)} }} }}", port)
    return Side("nginx, no checks", HOST, port, stage.cookies["records"], child)


def checker(stage):
    """Says yes to everything: the least that an authorisation service can cost. It is part of the cost of who asks it."""
    if not hasattr(stage, "checker"):
        port = free_port()
        stage.checker = (port, stage.nginx("checker", MEASURED, f"server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}", port))
    return stage.checker


def auth_request(stage):
    """nginx that asks the checker before each request."""
    port, (at, asked) = free_port(), checker(stage)
    ask = (f"location = /ask {{ internal; proxy_pass http://checker; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_pass_request_body off;"
           f" proxy_set_header Content-Length \"\"; proxy_set_header X-Original-URI $request_uri; }}")
    child = stage.nginx("auth_request", MEASURED, kept(stage) + f"upstream checker {{ server 127.0.0.1:{at}; keepalive 64; keepalive_requests 10000000; }}\n"
                        f"server {{ {front(stage, port)} {ask} location / {{ auth_request /ask; {upstream(stage)} }} }}", port)
    return Side("nginx auth_request, trivial checker", HOST, port, stage.cookies["records"], child, asked)


def haproxy(stage):
    """HAProxy that checks nothing."""
    need("haproxy", "haproxy")
    port, s, d = free_port(), stage.served, stage.dir
    conf, log = d / "haproxy.cfg", d / "haproxy.log"
    conf.write_text(f"global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n  http-reuse always\n"
                    f"frontend in\n  bind 127.0.0.1:{port} ssl crt {d}/front.both ssl-min-ver TLSv1.3\n  default_backend up\n"
                    f"backend up\n  server one 127.0.0.1:{stage.up_port} ssl verify none crt {s}/both.pem ssl-min-ver TLSv1.3\n")
    child = stage.start(["haproxy", "-db", "-f", conf], MEASURED, stdout=open(log, "w"), stderr=subprocess.STDOUT)
    wait_for(port, child, log)
    return Side("HAProxy, no checks", HOST, port, stage.cookies["records"], child)


def caddy(stage):
    """Caddy that asks the checker before each request."""
    need("caddy", "caddy")
    port, (at, asked), s, d = free_port(), checker(stage), stage.served, stage.dir
    conf, log = d / "Caddyfile", d / "caddy.log"
    conf.write_text(f"{{\n admin off\n auto_https off\n storage file_system {d}/caddy\n}}\nhttps://{HOST}:{port} {{\n bind 127.0.0.1\n tls {d}/front.pem {d}/front.key\n forward_auth 127.0.0.1:{at} {{\n  uri /ask\n }}\n"
                    f" reverse_proxy https://127.0.0.1:{stage.up_port} {{\n  transport http {{\n   tls_client_auth {s}/cert.pem {s}/key.pem\n   tls_insecure_skip_verify\n  }}\n }}\n}}\n")
    child = stage.start(["caddy", "run", "--config", conf, "--adapter", "caddyfile"], MEASURED, stdout=open(log, "w"), stderr=subprocess.STDOUT)
    wait_for(port, child, log)
    return Side("Caddy forward_auth, trivial checker", HOST, port, stage.cookies["records"], child, asked)


def openidc(stage):
    """Apache with mod_auth_openidc and a session in its shared memory, begun at a provider of this suite."""
    need("apache2", "apache2")
    need("/usr/lib/apache2/modules/mod_auth_openidc.so", "libapache2-mod-auth-openidc")
    port, at, s, d = free_port(), free_port(), stage.served, stage.dir / "apache"
    d.mkdir()
    log = d / "error.log"
    provider = stage.start([sys.executable, stage.here / "provider.py", str(at), stage.dir], REST, stdout=open(d / "provider.log", "w"), stderr=subprocess.STDOUT)
    wait_for(at, provider, d / "provider.log")
    modules = ["mpm_event", "authn_core", "authz_core", "authz_user", "socache_shmcb", "ssl", "proxy", "proxy_http", "auth_openidc"]
    (d / "apache.conf").write_text(
        f"ServerRoot {d}\nServerName bench.localhost\nPidFile {d}/pid\nDefaultRuntimeDir {d}\nErrorLog {log}\nLogLevel warn\nListen 127.0.0.1:{port}\n"
        + "".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n" for m in modules)
        # Only root can, and must, say who its children are.
        + ("User nobody\nGroup nogroup\n" if os.getuid() == 0 else "")
        + f"""ServerLimit 2
ThreadsPerChild 64
MaxRequestWorkers 128
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 600
SSLSessionCache none
<VirtualHost 127.0.0.1:{port}>
 ServerName {HOST}
 SSLEngine on
 SSLProtocol TLSv1.3
 SSLCertificateFile {stage.dir}/front.pem
 SSLCertificateKeyFile {stage.dir}/front.key
 SSLProxyEngine on
 SSLProxyVerify none
 SSLProxyCheckPeerName off
 SSLProxyMachineCertificateFile {s}/leaf.pem
 SSLProxyMachineCertificateChainFile {s}/above.pem
 ProxyPreserveHost On
 ProxyPass / https://127.0.0.1:{stage.up_port}/ keepalive=On
 OIDCProviderMetadataURL http://127.0.0.1:{at}/.well-known/openid-configuration
 OIDCClientID bench
 OIDCClientSecret bench
 OIDCRedirectURI https://{HOST}:{port}/redirect
 OIDCCryptoPassphrase bench
 OIDCSSLValidateServer Off
 OIDCSessionInactivityTimeout 3600
 <Location />
  AuthType openid-connect
  Require valid-user
 </Location>
</VirtualHost>
""")
    child = stage.start(["apache2", "-f", d / "apache.conf", "-DFOREGROUND"], MEASURED, stdout=open(d / "out", "w"), stderr=subprocess.STDOUT)
    wait_for(port, child, log)
    browser = Browser()
    page = browser.send("GET", f"https://{HOST}:{port}{TARGET}")
    if page[0] != 200 or BODY not in page[2]:
        sys.exit(f"bench: signing in through Apache ended with {page[0]} at {page[1]}:\n{page[2][:1000]}\n{log.read_text()[-2000:]}")
    return Side("Apache mod_auth_openidc, session", HOST, port, browser.cookie(HOST), child)
