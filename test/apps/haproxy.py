#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""haproxy on mangod: front end and back end, HTTP and TCP mode, several threads, health checks, reload."""
import re

from apps import *

FRONT, TCP_FRONT, BACK = 8180, 8181, 8190


def config(app, extra=""):
    return app.write("haproxy.cfg", f"""
global
	nbthread 2
	pidfile {app.path('haproxy.pid')}
	{extra}
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
frontend web
	bind {OURS}:{FRONT}
	default_backend pages
backend pages
	balance roundrobin
	option httpchk GET /
	server one {THEIRS}:{BACK} check inter 500ms
	server two {THEIRS}:{BACK + 1} check inter 500ms
frontend raw
	mode tcp
	bind {OURS}:{TCP_FRONT}
	default_backend rawback
backend rawback
	mode tcp
	server one {THEIRS}:{BACK}
""")


def start(app):
    app.write("index.html", "a page\n")
    app.random_file("large.bin", (64 if app.long else 16) * MIB)
    for port in (BACK, BACK + 1):
        app.start("theirs", ["python3", "-c",
                             "import http.server as h, functools, sys\n"
                             "H=functools.partial(h.SimpleHTTPRequestHandler, directory=sys.argv[2])\n"
                             "h.ThreadingHTTPServer((sys.argv[3], int(sys.argv[1])), H).serve_forever()",
                             port, app.path(""), THEIRS], f"back{port}.log")
    server = app.start("ours", ["haproxy", "-W", "-f", config(app)], "haproxy.log", FRONT)
    wait_for("a back end", lambda: curl(app, f"http://{OURS}:{FRONT}/index.html", check=False) == "a page\n", 15, 0.2)
    return server


def curl(app, url, *words, check=True):
    return app.out("theirs", ["curl", "-sS", "--max-time", "30", *words, url], check=check)


def proxies(app):
    """passes pages and large files on, in HTTP and TCP mode."""
    start(app)
    for port in (FRONT, TCP_FRONT):
        expect_equal(curl(app, f"http://{OURS}:{port}/index.html"), "a page\n", f"port {port}")
        curl(app, f"http://{OURS}:{port}/large.bin", "-o", app.path("got"))
        expect_equal(file_digest(app.path("got")), file_digest(app.path("large.bin")), f"large, port {port}")


def load(app):
    """keeps up under wrk with two threads."""
    start(app)
    out = app.out("theirs", ["wrk", "-t1", "-c32", "-d", "5s" if app.long else "2s",
                             f"http://{OURS}:{FRONT}/index.html"], seconds=60)
    done = re.search(r"(\d+) requests in", out)
    expect(done and int(done.group(1)) > 50 and "Non-2xx" not in out, out)


def reload(app):
    """reloads: the new worker serves, the old one lets go."""
    server = start(app)
    os.kill(server.pid, signal.SIGUSR2)
    for _ in range(20):
        expect_equal(curl(app, f"http://{OURS}:{FRONT}/index.html"), "a page\n", "during the reload")
        time.sleep(0.1)


if __name__ == "__main__":
    main(App("haproxy", "haproxy", "curl", "wrk"), proxies, load, reload)
