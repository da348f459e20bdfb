#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""python on mangod: http.server, socketserver with threads and forks, asyncio both ways, requests as a client."""
from apps import *

PORT = 8580

ASYNC_ECHO = """
import asyncio, sys
async def one(r, w):
    while data := await r.read(65536):
        w.write(data); await w.drain()
    w.close()
async def main():
    s = await asyncio.start_server(one, sys.argv[1], int(sys.argv[2]))
    async with s: await s.serve_forever()
asyncio.run(main())
"""

ASYNC_CLIENT = """
import asyncio, os, sys
async def one(i):
    r, w = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    for n in (1, 100, 70000, 300000):
        data = os.urandom(n)
        async def put():
            w.write(data); await w.drain()
        task = asyncio.create_task(put())
        assert await r.readexactly(n) == data
        await task
    w.close(); await w.wait_closed()
async def main():
    await asyncio.gather(*(one(i) for i in range(int(sys.argv[3]))))
    print("all right")
asyncio.run(main())
"""

SOCKETSERVER = """
import socketserver, sys
class H(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())
class S(getattr(socketserver, sys.argv[3])):
    allow_reuse_address = True
    request_queue_size = 64
with S((sys.argv[1], int(sys.argv[2])), H) as s: s.serve_forever()
"""

LINES = """
import socket, sys, concurrent.futures as c
def one(i):
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20); f = s.makefile("rwb")
    for k in range(20):
        f.write(b"line %d %d\\n" % (i, k)); f.flush()
        assert f.readline() == b"LINE %d %d\\n" % (i, k)
    s.shutdown(socket.SHUT_WR); assert f.read() == b""
with c.ThreadPoolExecutor(16) as p: list(p.map(one, range(int(sys.argv[3]))))
print("all right")
"""


def script(app, name, text):
    return ["python3", app.write(name, text)]


def http_server(app):
    """http.server serves pages and a large file."""
    name = app.random_file("large.bin", 16 * MIB)
    app.start("ours", ["python3", "-m", "http.server", PORT, "--bind", OURS, "--directory", app.path("")], "http.log", PORT)
    app.run("theirs", ["curl", "-sS", "-o", app.path("got"), f"http://{OURS}:{PORT}/large.bin"])
    expect_equal(file_digest(app.path("got")), file_digest(name), "large file")


def asyncio_server(app):
    """asyncio serves 50 connections at once."""
    app.start("ours", script(app, "echo.py", ASYNC_ECHO) + [OURS, PORT], "echo.log", PORT)
    out = app.out("theirs", script(app, "client.py", ASYNC_CLIENT) + [OURS, PORT, 50])
    expect_equal(out.strip(), "all right", "echo")


def asyncio_client(app):
    """asyncio connects 50 times at once."""
    app.start("theirs", script(app, "echo.py", ASYNC_ECHO) + [THEIRS, PORT], "echo.log", PORT)
    out = app.out("ours", script(app, "client.py", ASYNC_CLIENT) + [THEIRS, PORT, 50])
    expect_equal(out.strip(), "all right", "echo")


def threads(app):
    """socketserver with a thread per connection."""
    app.start("ours", script(app, "server.py", SOCKETSERVER) + [OURS, PORT, "ThreadingTCPServer"], "server.log", PORT)
    expect_equal(app.out("theirs", script(app, "lines.py", LINES) + [OURS, PORT, 100]).strip(), "all right", "lines")


def forks(app):
    """socketserver with a process per connection."""
    app.start("ours", script(app, "server.py", SOCKETSERVER) + [OURS, PORT, "ForkingTCPServer"], "server.log", PORT)
    expect_equal(app.out("theirs", script(app, "lines.py", LINES) + [OURS, PORT, 60]).strip(), "all right", "lines")


def requests_client(app):
    """requests keeps a session alive, streams, posts."""
    app.start("theirs", script(app, "web.py", """
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def reply(self, body):
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self): self.reply(b"x" * int(self.path[1:] or 1))
    def do_POST(self): self.reply(b"%d" % len(self.rfile.read(int(self.headers["Content-Length"]))))
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), H).serve_forever()
""") + [THEIRS, PORT], "web.log", PORT)
    out = app.out("ours", script(app, "req.py", """
import requests, sys
s = requests.Session(); url = f"http://{sys.argv[1]}:{sys.argv[2]}/"
for n in (1, 1000, 5000000):
    assert len(s.get(url + str(n), timeout=20).content) == n
assert s.post(url, data=b"y" * 3000000, timeout=20).text == "3000000"
assert sum(len(c) for c in s.get(url + "9000000", stream=True, timeout=20).iter_content(65536)) == 9000000
print("all right")
""") + [THEIRS, PORT])
    expect_equal(out.strip(), "all right", "requests")


if __name__ == "__main__":
    main(App("python", "python3", "curl"), http_server, asyncio_server, asyncio_client, threads, forks, requests_client)
