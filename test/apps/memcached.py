#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""memcached with several threads on mangod, under many connections."""
from apps import *

PORT = 11300

CLIENT = """
import socket, sys, threading, os
host, port, conns, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
bad = []
def one(k):
    s = socket.create_connection((host, port), 20)
    f = s.makefile("rb")
    for i in range(rounds):
        value = (b"%d-%d-" % (k, i)) * (1 + i % 300)
        s.sendall(b"set k%d 0 0 %d\\r\\n%s\\r\\n" % (k, len(value), value))
        if f.readline() != b"STORED\\r\\n": bad.append("set")
        s.sendall(b"get k%d\\r\\n" % k)
        f.readline()
        if f.read(len(value)) != value: bad.append("value")
        f.read(2)
        if f.readline() != b"END\\r\\n": bad.append("end")
ts = [threading.Thread(target=one, args=(k,)) for k in range(conns)]
[t.start() for t in ts]; [t.join() for t in ts]
print("bad", bad[:3]) if bad else print("all right")
"""


def client(app, side, address):
    script = app.write("client.py", CLIENT)
    rounds = 500 if app.long else 60
    out = app.out(side, ["python3", script, address, PORT, 32, rounds], seconds=120)
    expect_equal(out.strip(), "all right", "values")


def as_server(app):
    """four threads serve 32 connections."""
    app.start("ours", ["memcached", "-u", "root", "-l", OURS, "-p", PORT, "-U", "0", "-t", "4"], "memcached.log", PORT)
    client(app, "theirs", OURS)


def large_values(app):
    """large values come back whole."""
    app.start("ours", ["memcached", "-u", "root", "-l", OURS, "-p", PORT, "-t", "2", "-I", "8m", "-m", "256"],
              "memcached.log", PORT)
    script = app.write("large.py", """
import os, socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20); f = s.makefile("rb")
v = os.urandom(4 << 20)
s.sendall(b"set big 0 0 %d\\r\\n" % len(v) + v + b"\\r\\n"); assert f.readline() == b"STORED\\r\\n"
s.sendall(b"get big\\r\\n"); f.readline(); assert f.read(len(v)) == v; print("same")
""")
    expect_equal(app.out("theirs", ["python3", script, OURS, PORT]).strip(), "same", "4 MiB")


def as_client(app):
    """a threaded client on mangod, memcached on the kernel."""
    app.start("theirs", ["memcached", "-u", "root", "-l", THEIRS, "-p", PORT, "-U", "0"], "memcached.log", PORT)
    client(app, "ours", THEIRS)


if __name__ == "__main__":
    main(App("memcached", "memcached"), as_server, large_values, as_client)
