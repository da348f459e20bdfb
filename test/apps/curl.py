#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""curl and wget as clients on mangod, against nginx on the kernel."""
from apps import *

PORT, TLS = 8380, 8381


def start(app):
    key, cert = certificate(app)
    root = app.folder("www")
    app.write("www/index.html", "a page\n")
    app.random_file("www/large.bin", (128 if app.long else 32) * MIB)
    conf = app.write("nginx.conf", f"""
user root;
worker_processes 1;
pid {app.path('nginx.pid')};
error_log {app.path('error.log')};
events {{ worker_connections 256; }}
http {{
	access_log off;
	client_body_temp_path {app.path('t1')}; proxy_temp_path {app.path('t2')}; fastcgi_temp_path {app.path('t3')};
	uwsgi_temp_path {app.path('t4')}; scgi_temp_path {app.path('t5')};
	client_max_body_size 1g;
	server {{
		listen {THEIRS}:{PORT};
		listen [{THEIRS6}]:{PORT};
		listen {THEIRS}:{TLS} ssl http2;
		ssl_certificate {cert}; ssl_certificate_key {key};
		root {root};
		location /put/ {{ return 200 "stored\\n"; client_body_in_file_only clean; }}
	}}
}}
""")
    app.start("theirs", ["nginx", "-c", conf, "-g", "daemon off;"], "nginx.log", PORT)
    return app.path("www/large.bin")


def curl(app, *words):
    return app.out("ours", ["curl", "-sSk", "--max-time", "30", *words])


def curl_gets(app):
    """curl gets pages and large files: HTTP, TLS with HTTP/2, IPv6, several at once."""
    large = start(app)
    expect_equal(curl(app, f"http://{THEIRS}:{PORT}/"), "a page\n", "page")
    expect_equal(curl(app, f"https://{THEIRS}:{TLS}/"), "a page\n", "page by TLS")
    expect_equal(curl(app, f"http://[{THEIRS6}]:{PORT}/"), "a page\n", "page by IPv6")
    for url in (f"http://{THEIRS}:{PORT}/large.bin", f"https://{THEIRS}:{TLS}/large.bin"):
        curl(app, "-o", app.path("got"), url)
        expect_equal(file_digest(app.path("got")), file_digest(large), url)
    words = []
    for i in range(8):
        words += ["-o", app.path(f"got{i}"), f"http://{THEIRS}:{PORT}/large.bin?{i}"]
    curl(app, "--parallel", *words)
    for i in range(8):
        expect_equal(file_digest(app.path(f"got{i}")), file_digest(large), f"parallel {i}")


def curl_puts(app):
    """curl uploads, and slowly."""
    large = start(app)
    expect_equal(curl(app, "-T", large, f"http://{THEIRS}:{PORT}/put/x"), "stored\n", "upload")
    expect_equal(curl(app, "--limit-rate", "20M", "-o", "/dev/null", "-w", "%{size_download}",
                      f"http://{THEIRS}:{PORT}/large.bin"), str(os.path.getsize(large)), "slow download")


def curl_is_refused(app):
    """curl tells refused, unreachable and timed-out connections apart."""
    expect_equal(app.run("ours", ["curl", "-sS", f"http://{THEIRS}:9/"], check=False)[0], 7, "refused")
    expect_equal(app.run("ours", ["curl", "-sS", "--connect-timeout", "1", "http://10.77.0.99/"], check=False)[0], 28,
                 "nobody there")
    start(app)
    curl(app, f"http://{THEIRS}:{PORT}/")


def wget_gets(app):
    """wget gets a large file and resumes one."""
    large = start(app)
    app.run("ours", ["wget", "-q", "-O", app.path("got"), f"http://{THEIRS}:{PORT}/large.bin"])
    expect_equal(file_digest(app.path("got")), file_digest(large), "whole")
    with open(app.path("got"), "r+b") as f:
        f.truncate(5 * MIB)
    app.run("ours", ["wget", "-q", "-c", "-O", app.path("got"), f"http://{THEIRS}:{PORT}/large.bin"])
    expect_equal(file_digest(app.path("got")), file_digest(large), "resumed")


if __name__ == "__main__":
    main(App("curl", "curl", "wget", "nginx"), curl_gets, curl_puts, curl_is_refused, wget_gets)
