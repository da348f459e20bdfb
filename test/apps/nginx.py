#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nginx on mangod: workers, keep-alive, TLS, sendfile, large files, reload and upgrade, and as a proxy."""
import re
import shutil

from apps import *

PORT, TLS = 8080, 8443


def config(app, workers=2, extra="", text="hello from nginx"):
    key, cert = certificate(app)
    root = app.folder("www")
    app.write("www/index.html", text + "\n")
    user = "user root;" if os.geteuid() == 0 else ""
    return app.write("nginx.conf", f"""
{user}
worker_processes {workers};
pid {app.path('nginx.pid')};
error_log {app.path('error.log')};
events {{ worker_connections 1024; }}
http {{
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000;
	client_body_temp_path {app.path('tmp1')};
	proxy_temp_path {app.path('tmp2')};
	fastcgi_temp_path {app.path('tmp3')};
	uwsgi_temp_path {app.path('tmp4')};
	scgi_temp_path {app.path('tmp5')};
	client_max_body_size 1g;
	server {{
		listen {PORT};
		listen [::]:{PORT};
		listen {TLS} ssl;
		ssl_certificate {cert};
		ssl_certificate_key {key};
		root {root};
		location /small {{ return 200 "small\\n"; }}
		location /nosend/ {{ alias {root}/; sendfile off; }}
		{extra}
	}}
}}
""")


def start(app, **more):
    conf = config(app, **more)
    return app.start("ours", ["nginx", "-c", conf, "-g", "daemon off;"], "nginx.log", PORT)


def curl(app, url, *words):
    return app.out("theirs", ["curl", "-sSk", "--max-time", "30", *words, url])


def serves_pages(app):
    """serves pages, over IPv4 and IPv6, with and without TLS."""
    start(app)
    expect_equal(curl(app, f"http://{OURS}:{PORT}/"), "hello from nginx\n", "page")
    expect_equal(curl(app, f"https://{OURS}:{TLS}/small"), "small\n", "page by TLS")
    expect_equal(curl(app, f"http://[{OURS6}]:{PORT}/small"), "small\n", "page by IPv6")
    expect("404" in curl(app, f"http://{OURS}:{PORT}/none"), "a missing page")


def large_files(app):
    """sends large files by sendfile, by write, by TLS, in ranges."""
    start(app)
    name = app.random_file("www/large.bin", (256 if app.long else 32) * MIB)
    for url in (f"http://{OURS}:{PORT}/large.bin", f"http://{OURS}:{PORT}/nosend/large.bin",
                f"https://{OURS}:{TLS}/large.bin"):
        curl(app, url, "-o", app.path("got"))
        expect_equal(file_digest(app.path("got")), file_digest(name), url)
    curl(app, f"http://{OURS}:{PORT}/large.bin", "-r", "1000-20999", "-o", app.path("got"))
    with open(name, "rb") as f:
        f.seek(1000)
        expect_equal(digest(f.read(20000)), file_digest(app.path("got")), "a range")


def wrk(app, url, *words, seconds=2):
    out = app.out("theirs", ["wrk", "-t1", "-d", f"{seconds}s", *words, url], seconds=seconds + 30)
    done = re.search(r"(\d+) requests in", out)
    expect(done and int(done.group(1)) > 100, "wrk: " + out)
    for line in ("Socket errors", "Non-2xx"):
        expect(line not in out, "wrk: " + out)
    return int(done.group(1))


def under_load(app):
    """keeps up under wrk, with keep-alive and without."""
    start(app)
    seconds = 10 if app.long else 2
    wrk(app, f"http://{OURS}:{PORT}/small", "-c64", seconds=seconds)
    wrk(app, f"http://{OURS}:{PORT}/small", "-c16", "-H", "Connection: close", seconds=seconds)
    wrk(app, f"https://{OURS}:{TLS}/small", "-c16", seconds=seconds)


def reload(app):
    """reloads under load: new pages, and no request is lost."""
    start(app, text="before")
    load = app.in_background("theirs", ["wrk", "-t1", "-c8", "-d3s", f"http://{OURS}:{PORT}/"], seconds=30)
    time.sleep(1)
    config(app, text="after", workers=3)
    os.kill(pid_of(app, "nginx.pid"), signal.SIGHUP)
    wait_for("the new configuration serves", lambda: curl(app, f"http://{OURS}:{PORT}/") == "after\n", 10, 0.1)
    out = load.result()[1]
    expect("Non-2xx" not in out, "answers were wrong: " + out)
    # A worker that leaves closes the connections that it kept alive: one lost race for each is allowed.
    errors = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    connect, read, write, late = map(int, errors.groups()) if errors else (0, 0, 0, 0)
    expect(connect == 0 and late == 0 and read + write <= 8, "requests were lost: " + out)


def upgrade(app):
    """upgrades its binary on USR2 while it serves."""
    conf = config(app)
    # A daemon, since nginx upgrades only then, and by its path, since it execs its argv[0].
    app.run("ours", [shutil.which("nginx"), "-c", conf])
    pids = []
    try:
        app.wait_port("ours", PORT)
        pids.append(pid_of(app, "nginx.pid"))
        os.kill(pids[0], signal.SIGUSR2)
        wait_for("the new master", lambda: pid_of(app, "nginx.pid.oldbin") and pid_of(app, "nginx.pid"), 10, 0.1)
        pids.append(pid_of(app, "nginx.pid"))
        for _ in range(10):
            expect_equal(curl(app, f"http://{OURS}:{PORT}/small"), "small\n", "both masters")
        os.kill(pids[0], signal.SIGQUIT)
        wait_for("the old master's end", lambda: not os.path.exists(f"/proc/{pids[0]}"), 10, 0.1)
        for _ in range(20):
            expect_equal(curl(app, f"http://{OURS}:{PORT}/small"), "small\n", "the new master alone")
    finally:
        for pid in pids:
            if os.path.exists(f"/proc/{pid}"):
                os.kill(pid, signal.SIGTERM)
    wait_for("the end of both", lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), 10, 0.1)


def pid_of(app, name):
    try:
        with open(app.path(name)) as f:
            return int(f.read())
    except (FileNotFoundError, ValueError):
        return 0


def proxy(app):
    """proxies to a server on the kernel, keeping connections alive."""
    name = app.random_file("up.bin", 8 * MIB)
    app.start("theirs", ["python3", "-m", "http.server", "8099", "--bind", THEIRS, "--directory", app.path("")],
              "upstream.log")
    start(app, extra=f"location /up/ {{ proxy_pass http://{THEIRS}:8099/; }}")
    wait_for("upstream", lambda: "up.bin" in curl(app, f"http://{OURS}:{PORT}/up/"), 10, 0.2)
    curl(app, f"http://{OURS}:{PORT}/up/up.bin", "-o", app.path("got"))
    expect_equal(file_digest(app.path("got")), file_digest(name), "through the proxy")


if __name__ == "__main__":
    main(App("nginx", "nginx", "curl", "wrk"), serves_pages, large_files, under_load, reload, upgrade, proxy)
