#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lighttpd on mangod: pages, large files, keep-alive under load."""
import re

from apps import *

PORT = 8280


def start(app):
    root = app.folder("www")
    app.write("www/index.html", "hello from lighttpd\n")
    conf = app.write("lighttpd.conf", f"""
server.document-root = "{root}"
server.port = {PORT}
server.bind = "{OURS}"
server.pid-file = "{app.path('lighttpd.pid')}"
server.errorlog = "{app.path('error.log')}"
mimetype.assign = ( ".html" => "text/html" )
index-file.names = ( "index.html" )
""")
    return app.start("ours", ["lighttpd", "-D", "-f", conf], "lighttpd.log", PORT)


def curl(app, path, *words):
    return app.out("theirs", ["curl", "-sS", "--max-time", "30", *words, f"http://{OURS}:{PORT}/{path}"])


def serves(app):
    """serves pages and large files."""
    start(app)
    expect_equal(curl(app, ""), "hello from lighttpd\n", "page")
    name = app.random_file("www/large.bin", (128 if app.long else 32) * MIB)
    curl(app, "large.bin", "-o", app.path("got"))
    expect_equal(file_digest(app.path("got")), file_digest(name), "large file")


def load(app):
    """keeps up under wrk."""
    start(app)
    for words in ([], ["-H", "Connection: close"]):
        out = app.out("theirs", ["wrk", "-t1", "-c32", "-d", "5s" if app.long else "2s", *words,
                                 f"http://{OURS}:{PORT}/index.html"], seconds=60)
        done = re.search(r"(\d+) requests in", out)
        expect(done and int(done.group(1)) > 100 and "Non-2xx" not in out, out)


if __name__ == "__main__":
    main(App("lighttpd", "lighttpd", "curl", "wrk"), serves, load)
