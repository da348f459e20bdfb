#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The control plane and the attach socket, well-behaved and hostile. control.py [WORD...]

One table of requests runs over every transport. The hostile half always has another application's traffic going
on beside it, which must not notice.
"""
import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import rawclient as rc  # noqa: E402
from harness import (DUT_ADDR, PEER_ADDR, Process, Skip, expect, expect_equal, netns, recv_all, tcp, tool,  # noqa: E402
                     wait_for)

DRIVER = os.environ.get("MANGO_E2E_DRIVER", "af_packet")
KILLS = int(os.environ.get("MANGO_E2E_KILLS", "300"))
PORT = 7
VICTIM_PORT = 9200
GRPC_TCP = "localhost:32847"
GRPC_RAW = "127.0.0.1:32847"  # for clients with a resolver of their own, which may not know localhost
SEED = int(os.environ.get("MANGO_E2E_SEED", "1"))

bed = None


def attach_path():
    return f"{bed.path('run')}/{bed.instance}/attach.sock"


def addresses():
    return [bed.address(), GRPC_TCP, bed.grpc_unix()]


def expect_alive():
    expect(bed.daemon.poll() is None, "mangod ended: " + bed.daemon.output()[-1500:])
    expect_equal(bed.ctl("health").returncode, 0, "health")


def counts():
    h = bed.ctl_json("health")
    return {k: h[k] for k in ("sessions", "connections", "listeners")}


def resources():
    """What the daemon holds of the system."""
    pid = bed.daemon.pid
    with open(f"/proc/{pid}/maps") as f:
        maps = [line for line in f if "memfd:mango-region" in line]
    return {"descriptors": len(os.listdir(f"/proc/{pid}/fd")), "regions": len(maps)}


def holdings():
    return counts(), resources()


def settled_holdings():
    """What is held when nothing is on its way any more: the daemon closes its end of a tool's connection after the tool."""
    last, same = None, 0
    deadline = time.monotonic() + 10
    while same < 5:
        now = holdings()
        same = same + 1 if now == last else 0
        last = now
        expect(time.monotonic() < deadline, f"what the daemon holds does not settle: {now}")
        time.sleep(0.01)
    return last


def expect_freed(before, seconds):
    """All but what was held before is given back in time."""
    deadline = time.monotonic() + seconds
    while (now := holdings()) != before:
        expect(time.monotonic() < deadline, f"not freed within {seconds} s: held {before} before, {now} now")
        time.sleep(0.02)


def rss_mib():
    with open(f"/proc/{bed.daemon.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


class Traffic:
    """Another application's traffic: 8 connections that echo all the time, and must not notice anything."""

    def __init__(self):
        self.server = bed.app("echo_server", "--port", str(PORT))
        wait_for("the echo server listens", lambda: bed.listens(PORT))
        words = ["--mode", "echo", "--conns", "8", "--addr", DUT_ADDR, "--port", str(PORT), "--seconds", "600"]
        self.log = bed.path("loadgen.log")
        if os.path.exists(self.log):
            os.unlink(self.log)
        self.client = Process(netns(bed.peer_ns) + [tool("loadgen"), *words], self.log)

    def __enter__(self):
        wait_for("the traffic flows", lambda: len(bed.connections()) >= 8)
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.client.stop(signal.SIGKILL)
        else:
            time.sleep(1)  # damage may take a moment to show
            expect(self.client.poll() is None, "the traffic ended early: " + self.client.output())
        self.server_alive = self.server.poll() is None
        try:
            if kind is None:
                self.finish()
        finally:
            self.server.stop(signal.SIGKILL if not self.server_alive else signal.SIGTERM)

    def finish(self):
        expect(self.server_alive, "the other application's server ended: " + self.server.output()[-500:])
        self.client.signal(signal.SIGTERM)
        expect_equal(self.client.wait(60), 0, "the other application's client: " + self.client.output())
        row = json.loads(self.client.output().splitlines()[-1])
        expect(row["requests"] > 1000, f"only {row['requests']} requests were answered")


# ---- the table: what mangoctl asks, over every transport -------------------------------------------------


def find(rows, key):
    return next(r for r in rows if r["key"] == key)


def check_health(h):
    return h["status"] == "serving" and h["instance"] == bed.instance and h["pid"] == bed.daemon.pid


# words, exit code, what must hold of the JSON (0) or of standard error (1, 2)
REQUESTS = [
    (["health"], 0, lambda j: check_health(j)),
    (["config", "get"], 0, lambda j: len(j["config"]) > 50),
    (["config", "get", "tcp."], 0, lambda j: all(r["key"].startswith("tcp.") for r in j["config"])),
    (["config", "get", "tcp.rto_min_ms"], 0, lambda j: [r["value"] for r in j["config"]] == ["200"]),
    (["config", "get", "ports"], 0, lambda j: "10.77.0.1/24" in find(j["config"], "ports[0].addresses")["value"]),
    (["config", "get", "tcp.frobnicate"], 1, lambda e: "tcp.frobnicate" in e),
    (["config", "set", "tcp.rto_min_ms=250"], 0, lambda j: True),
    (["config", "get", "tcp.rto_min_ms"], 0, lambda j: j["config"][0]["value"] == "250" and not
     j["config"][0]["is_default"] and j["config"][0]["default"] == "200" and j["config"][0]["runtime"]),
    (["config", "set", "tcp.rto_min_ms=0"], 1, lambda e: "tcp.rto_min_ms" in e and "1..60000" in e),
    (["config", "set", "tcp.rto_min_ms=200", "log.level=loud"], 1, lambda e: "log.level" in e and "debug" in e),
    (["config", "get", "tcp.rto_min_ms"], 0, lambda j: j["config"][0]["value"] == "250"),  # all or nothing
    (["config", "set", "tcp.frobnicate=1"], 1, lambda e: "tcp.frobnicate" in e),
    (["config", "set", "fastpath.workers=2"], 1, lambda e: "fastpath.workers" in e and "restart" in e),
    (["config", "set", "tcp.rto_min_ms=200", "tcp.keepalive=true"], 0, lambda j: True),
    (["config", "get", "tcp.keepalive"], 0, lambda j: j["config"][0]["value"] == "true"),
    (["config", "set", "tcp.keepalive=false"], 0, lambda j: True),
    (["connections"], 0, lambda j: j["connections"] == []),
    (["listeners"], 0, lambda j: j["listeners"] == []),
    (["stats"], 0, lambda j: len(j["stats"]) > 20 and all(isinstance(v, int) for v in j["stats"].values())),
    (["frobnicate"], 2, lambda e: "frobnicate" in e),
    (["config", "set"], 2, lambda e: "KEY=VALUE" in e),
    (["config", "set", "tcp.nagle"], 2, lambda e: "KEY=VALUE" in e),
    ([], 2, lambda e: e != ""),
    (["health", "--frobnicate"], 2, lambda e: e != ""),
]


def over(address):
    def table():
        for words, code, check in REQUESTS:
            done = bed.ctl(*words, "--json", address=address)
            expect_equal(done.returncode, code, f"{words}: {done.stderr}")
            seen = json.loads(done.stdout) if code == 0 else done.stderr
            expect(check(seen), f"{words} gave {str(seen)[:1000]}")
            if code == 0:
                plain = bed.ctl(*words, address=address)
                expect_equal(plain.returncode, 0, f"{words} without --json: {plain.stderr}")

    return table


def test_unreachable():
    for address in ("local:nobody", "localhost:1", "unix:/nonexistent/sock", "local:/nonexistent"):
        done = bed.ctl("health", address=address)
        expect_equal(done.returncode, 3, f"exit code for {address}; {done.stderr}")
        expect(address in done.stderr or "mangod" in done.stderr, done.stderr)


def test_same_answers():
    """Whatever carries it: the same words."""
    for words in (["config", "get"], ["listeners"], ["connections"]):
        answers = [bed.ctl_json(*words, address=a) for a in addresses()]
        expect(answers[0] == answers[1] == answers[2], f"{words} differs between transports")


def test_stranger():
    """Who is neither root nor the daemon's user may look, by gRPC, and change nothing."""
    os.chmod(bed.dir, 0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run(nobody + ["test", "-x", tool("mangoctl")], check=False).returncode != 0:
        raise Skip("the build folder is closed to other users")

    def ask(address, *words):
        return subprocess.run(netns(bed.dut) + nobody + [tool("mangoctl"), "--address", address, *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20,
                              env=dict(os.environ, **bed.env))

    done = ask(GRPC_TCP, "health")
    expect_equal(done.returncode, 0, "health by gRPC; " + done.stderr)
    done = ask(GRPC_TCP, "config", "set", "tcp.nagle=false")
    expect_equal(done.returncode, 1, "config set by gRPC; " + done.stderr)
    expect_equal(bed.ctl("config", "get", "tcp.nagle").stdout.strip(), "true", "the setting")
    expect(ask(bed.address(), "health").returncode != 0, "the attach socket let a stranger in")


# ---- all messages through libmango -------------------------------------------------------------------------


def echo_server(port):
    """A kernel echo server for two connections, one after the other."""
    with socket.socket() as ls:
        ls.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ls.bind((PEER_ADDR, port))
        ls.listen(8)
        ls.settimeout(20)
        ends = []
        for _ in range(2):
            s, _ = ls.accept()
            s.settimeout(20)
            with s:
                try:
                    while piece := s.recv(4096):
                        s.sendall(piece)
                    ends.append("fin")
                except ConnectionResetError:
                    ends.append("reset")
    return ends


def messages(address):
    def all_of_them():
        agent = bed.agent(address)
        expect_equal(agent.ok("health"), [bed.instance, "serving"], "HEALTH_CHECK")
        agent.ok("configure tcp.delayed_ack_ms 41")
        expect_equal(agent.ok("config tcp.delayed_ack_ms"), ["41"], "GET_CONFIG after SET_CONFIG")
        agent.ok("configure tcp.delayed_ack_ms 40")
        agent.error("configure tcp.delayed_ack_ms 501", "EINVAL")
        agent.error("config tcp.frobnicate", "ENOENT")
        agent.ok("listen l 9300 8")
        agent.error("listen m 9300 8", "EADDRINUSE")
        expect(bed.listens(9300, address), "TCP_LISTEN")
        peer = bed.peer_start(ask_once, 9300)
        agent.ok("accept l a")
        expect_equal(agent.ok("recv a 8"), [b"question".hex()], "data of an accepted connection")
        agent.ok("setopt a keepidle_s 77")
        expect_equal(agent.ok("getopt a keepidle_s"), ["77"], "TCP_GET_OPTION")
        agent.ok("setopt a congestion reno")
        expect_equal(agent.ok("getopt a congestion"), ["reno"], "the congestion control")
        agent.ok("send a " + b"answer".hex())
        agent.ok("close a")
        expect_equal(peer.result(), b"answer", "what the peer got")
        active(agent)
        congestion(agent, address)
        inherited(agent)
        agent.ok("close l")
        wait_for("TCP_LISTEN_CLOSE", lambda: bed.listeners(address) == [], 3)
        agent.stop()
        wait_for("the session is over", lambda: counts()["sessions"] == 0, 3)

    return all_of_them


def ask_once(port):
    with tcp(DUT_ADDR, port) as s:
        s.sendall(b"question")
        answer = b""
        while piece := s.recv(100):
            answer += piece
        return answer


def active(agent):
    """Connects out twice: one ends by close, one by abort."""
    peer = bed.peer_start(echo_server, 9301)
    for i, end in enumerate(("close", "abort")):
        if i == 0:
            wait_for("the peer listens", lambda: agent.call(f"connect c {PEER_ADDR} 9301") == "ok")
        else:
            agent.ok(f"connect c {PEER_ADDR} 9301")
        agent.ok("send c " + b"hello".hex())
        expect_equal(agent.ok("recv c 5"), [b"hello".hex()], "data of a connection that was made")
        names = agent.ok("names c")
        expect_equal((names[0], names[2], names[3]), (DUT_ADDR, PEER_ADDR, "9301"), "names")
        agent.ok(f"{end} c")
    expect_equal(peer.result(), ["fin", "reset"], "how the peer saw the ends")


def congestion(agent, address):
    """Each algorithm by TCP_CONGESTION before the connection, carries data, and can be told apart."""
    agent.ok("socket k")
    agent.error("setopt k congestion vegas", "ENOENT")
    expect_equal(agent.ok("getopt k congestion"), ["cubic"], "the configured algorithm")
    agent.ok("close k")
    for i, name in enumerate(("reno", "cubic", "dctcp", "bbr")):
        port, n = 9310 + i, 1 << 20
        peer = bed.peer_start(take_some, port, n)
        agent.ok("socket k")
        agent.ok(f"setopt k congestion {name}")
        wait_for("the peer listens", lambda: agent.call(f"connect k {PEER_ADDR} {port}") == "ok")
        expect_equal(agent.ok("getopt k congestion"), [name], "the algorithm of a connection")
        agent.ok(f"sendn k {n}")
        rows = [c for c in bed.connections(address) if c["remote"].endswith(f":{port}")]
        expect_equal([c["congestion_control"] for c in rows], [name], "mangoctl connections")
        expect(rows[0]["congestion_phase"] != "", "no phase")
        agent.error("setopt k congestion vegas", "ENOENT")
        agent.ok("setopt k congestion bbr")
        expect_equal(agent.ok("getopt k congestion"), ["bbr"], "the algorithm after a change")
        expect_equal(peer.result(), n, "what the peer got by " + name)
        agent.ok("abort k")


def inherited(agent):
    """A listener's algorithm is its connections'; the configured one changes at run time."""
    agent.ok("socket q")
    agent.ok("setopt q congestion bbr")
    agent.ok("bind q 0.0.0.0 9320")
    agent.ok("listen q 4")
    peer = bed.peer_start(ask_once, 9320)
    agent.ok("accept q a")
    expect_equal(agent.ok("getopt a congestion"), ["bbr"], "what a connection inherits")
    agent.ok("configure tcp.congestion_control dctcp")
    agent.ok("socket k")
    expect_equal(agent.ok("getopt k congestion"), ["dctcp"], "the algorithm that is configured now")
    agent.ok("close k")
    agent.ok("configure tcp.congestion_control cubic")
    agent.ok("recv a 8")
    agent.ok("send a " + b"answer".hex())
    agent.ok("close a")
    expect_equal(peer.result(), b"answer", "what the peer got")
    agent.ok("close q")


def take_some(port, n):
    with socket.socket() as ls:
        ls.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ls.bind((PEER_ADDR, port))
        ls.listen(1)
        ls.settimeout(20)
        s, _ = ls.accept()
        s.settimeout(20)
        with s:
            return len(recv_all(s, n))


def test_documented_example():
    """The example of the first document compiles as C++ with the address filled in, and sends."""
    program = bed.path("example_client")
    include, lib = os.path.join(harness.SRC, "libclient/include"), os.path.join(harness.BUILD, "libclient")
    flags = ["-fsanitize=address,undefined"] if os.environ.get("MANGO_VARIANT") == "asan" else []
    done = subprocess.run(["g++", "-Wall", "-Wextra", "-Werror", *flags, "-o", program, "-I", include,
                           os.path.join(harness.SRC, "libclient/examples/seed_client.cc"), "-L", lib, "-lmango",
                           "-Wl,-rpath," + lib], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    expect_equal(done.returncode, 0, "the compiler: " + done.stdout)
    peer = bed.peer_start(take_some, 7, 10 << 20)
    time.sleep(0.3)
    client = Process(netns(bed.dut) + [program], bed.path("example.log"), env=bed.env)
    try:
        expect_equal(peer.result(30), 10 << 20, "bytes of the example")
    finally:
        client.stop(signal.SIGKILL)


# ---- gRPC by hand ------------------------------------------------------------------------------------------


def grpc(method, *messages_hex, target=GRPC_RAW):
    """(messages, status code) of one call."""
    done = subprocess.run(netns(bed.dut) + [tool("grpc_call"), target, method, *messages_hex], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30)
    expect_equal(done.returncode, 0, f"{method}: {done.stderr}")
    lines = done.stdout.splitlines()
    return [line.split()[1] if " " in line.strip() else "" for line in lines[:-1]], int(lines[-1].split()[1])


def test_grpc_health():
    """The standard health service, as stock probes ask it."""
    name = b"mango.v1.Mango"
    for target in (GRPC_RAW, bed.grpc_unix()):
        for request in ("", (b"\x0a" + bytes([len(name)]) + name).hex()):
            expect_equal(grpc("/grpc.health.v1.Health/Check", request, target=target), (["0801"], 0), "SERVING")
    expect_equal(grpc("/grpc.health.v1.Health/Check", b"\x0a\x03abc".hex()), ([], 5), "an unknown service")
    expect_equal(grpc("/mango.v1.Mango/Frobnicate", ""), ([], 12), "an unknown method")


def test_grpc_messages():
    """Answers of the mango service, and what it says to bytes that are no message."""
    answers, code = grpc("/mango.v1.Mango/HealthCheck", "")
    expect(code == 0 and bed.instance.encode().hex() in answers[0], f"HealthCheck gave {answers}, {code}")
    answers, code = grpc("/mango.v1.Mango/GetConfig", b"\x0a\x09log.level".hex())
    expect(code == 0 and b"info".hex() in answers[0], f"GetConfig gave {answers}, {code}")
    expect_equal(grpc("/mango.v1.Mango/GetConfig", b"\x0a\x04what".hex())[1], 5, "an unknown key")
    expect_equal(grpc("/mango.v1.Mango/GetConfig", "ff" * 20)[1], 3, "bytes that are no message")
    listen = b"\x08\x01\x12\x10" + bytes(range(16)) + b"\x6a\x07\x0a\x05\x10\xd4\x48\x20\x01"  # an unknown token
    expect_equal(grpc("/mango.v1.Mango/Session", listen.hex())[1], 16, "a wrong token")
    expect_equal(grpc("/mango.v1.Mango/Session", "ff" * 20)[1], 3, "garbage on a session")
    expect_alive()


def test_grpc_garbage():
    rng = random.Random(SEED)
    for method in ("HealthCheck", "GetConfig", "SetConfig", "Connections", "Listeners", "Stats", "Session"):
        for _ in range(4):
            nr = 3 if method == "Session" else 1
            grpc("/mango.v1.Mango/" + method, *[rng.randbytes(rng.randrange(200)).hex() for _ in range(nr)])
    done = subprocess.run(netns(bed.dut) + [sys.executable, "-c", GARBAGE], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)
    expect_equal(done.returncode, 0, "the garbage client: " + done.stdout)
    expect_alive()
    for address in addresses():
        expect_equal(bed.ctl("health", address=address).returncode, 0, f"health by {address}")


GARBAGE = """
import random, socket, struct
rng = random.Random(7)
preface = b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"
starts = [b"", b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", preface, preface + bytes(9), preface[:10],
          preface + struct.pack("!IBI", 0xffffff04, 0, 0)]
held = []
for i in range(120):
    s = socket.create_connection(("127.0.0.1", 32847), 5)
    s.settimeout(5)
    try:
        s.sendall(starts[i % len(starts)] + rng.randbytes(rng.randrange(3000)))
        if i % 3 == 0:
            s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    if i % 4 == 0:
        held.append(s)
    else:
        s.close()
"""


# ---- bad messages on the attach socket ---------------------------------------------------------------------


def bad_messages():
    """(what, bytes): each must end the connection, or be answered with an error."""
    h = rc.header
    yield "one byte", b"x"
    yield "a header cut short", h(rc.HEALTH_CHECK)[:100]
    yield "bytes larger than the datagram", h(rc.HEALTH_CHECK, nbytes=5000)
    yield "bytes smaller than the header", h(rc.HEALTH_CHECK, nbytes=8)
    yield "more than is said", h(rc.HEALTH_CHECK) + b"tail"
    yield "version 2", h(rc.HEALTH_CHECK, version=2)
    yield "version 0", h(rc.HEALTH_CHECK, version=0)
    yield "an unknown type", h(rc.NR)
    yield "type 0x7fff", h(0x7fff)
    yield "a reply", h(rc.HEALTH_CHECK | rc.REPLY)
    yield "a count without items", h(rc.TCP_LISTEN, count=1)
    yield "a huge count", h(rc.TCP_CLOSE, count=0xffffffff, nbytes=rc.HDR.size)
    yield "a count that overflows", h(rc.TCP_CLOSE, count=0x20000000, nbytes=rc.HDR.size)
    yield "items without a count", h(rc.TCP_CLOSE, nbytes=rc.HDR.size + 8) + bytes(8)
    yield "an attach without an item", h(rc.ATTACH)
    yield "a context without attaching", h(rc.CONTEXT_OPEN)
    yield "the largest datagram", b"\xff" * rc.MSG_MAX
    yield "one larger", b"\xff" * (rc.MSG_MAX + 4096)
    for kind, item in ((rc.TCP_LISTEN, rc.LISTEN), (rc.TCP_ACCEPT, rc.ACCEPT), (rc.TCP_CONNECT, rc.CONNECT),
                       (rc.TCP_CLOSE, rc.REF), (rc.TCP_ABORT, rc.REF), (rc.TCP_LISTEN_CLOSE, rc.REF)):
        yield f"message {kind} without a session", rc.message(kind, [bytes(item.size)])
        yield f"message {kind} with a wrong token", rc.message(kind, [bytes(item.size)], token=os.urandom(16))
    yield "an option with a wrong token", rc.message(rc.TCP_SET_OPTION, [bytes(rc.OPT_BYTES)], token=os.urandom(16))


def test_bad_messages():
    with Traffic():
        before = settled_holdings()
        for what, data in bad_messages():
            raw = rc.Raw(attach_path())
            try:
                raw.send(data)
                reply = raw.reply()
            except OSError:  # too long for a datagram: never left
                reply = None
            expect(reply is None or reply.status < 0, f"{what} was answered by status {reply and reply.status}")
            raw.close()
        expect_alive()
        expect_freed(before, 5)


def connect_item(local, remote, port):
    return rc.CONNECT.pack(rc.v4(local), rc.v4(remote), 0, port, 0, 1, 0, 0, 0, 0, 0, 0)


def test_bad_items():
    """An attached client with well-formed messages that make no sense: errors, and the session goes on."""
    path = attach_path()
    raw = rc.Raw(path)
    expect_equal(raw.attach(rc.abi_hash(path)).status, 0, "attach")
    nobody, some = 0xffffffff, 5
    tries = [
        ("a listener at another's address", rc.TCP_LISTEN, rc.LISTEN.pack(rc.v4("1.2.3.4"), 80, 0, 8, 0, 0, 0, 0, 1)),
        ("a multicast listener", rc.TCP_LISTEN, rc.LISTEN.pack(rc.v4("224.0.0.1"), 80, 0, 8, 0, 0, 0, 0, 1)),
        ("a listener for no such context", rc.TCP_LISTEN, rc.LISTEN.pack(rc.v4(""), 80, 0, 8, 77, 0, 0, 0, 1)),
        ("credits for no such listener", rc.TCP_ACCEPT, rc.ACCEPT.pack(nobody, 5, 0, 0)),
        ("closing no such listener", rc.TCP_LISTEN_CLOSE, rc.REF.pack(some, 0)),
        ("a connection without a port", rc.TCP_CONNECT, connect_item("", PEER_ADDR, 0)),
        ("a connection to nowhere", rc.TCP_CONNECT, connect_item("", "8.8.8.8", 80)),
        ("a connection from another's address", rc.TCP_CONNECT, connect_item("9.9.9.9", PEER_ADDR, 80)),
    ]
    for what, kind, item in tries:
        reply = raw.ask(kind, [item], token=raw.token)
        expect(reply is not None, f"{what} ended the session")
        bad = reply.status < 0 or (kind == rc.TCP_CONNECT and rc.CONNECT.unpack_from(reply.items)[-1] < 0)
        expect(bad, f"{what} was accepted")
    for kind in (rc.TCP_CLOSE, rc.TCP_ABORT):
        expect(raw.ask(kind, [rc.REF.pack(nobody, 1), rc.REF.pack(some, 9)], token=raw.token) is not None,
               "closing no such connection ended the session")
    expect_equal(raw.ask(rc.HEALTH_CHECK).status, 0, "health afterwards")
    expect(raw.attach(0x1234).status < 0, "attaching twice")
    raw.close()
    wait_for("the session is over", lambda: counts()["sessions"] == 0, 3)


def test_other_token():
    """A token speaks for its session; a guessed one, or one of a session that is over, for nobody."""
    path = attach_path()
    abi = rc.abi_hash(path)
    first = rc.Raw(path)
    first.attach(abi)
    listen = rc.LISTEN.pack(rc.v4(""), 9400, 0, 8, 0, 0, 0, 0, 1)
    second = rc.Raw(path)
    guess = bytes([first.token[0] ^ 1]) + first.token[1:]
    expect(second.ask(rc.TCP_LISTEN, [listen], token=guess).status < 0, "a guessed token")
    first.close()
    wait_for("the first session is over", lambda: counts()["sessions"] == 0, 3)
    expect(second.ask(rc.TCP_LISTEN, [listen], token=first.token).status < 0, "the token of a dead session")
    second.close()


def test_abi_mismatch():
    raw = rc.Raw(attach_path())
    reply = raw.attach(0x1234)
    expect(reply.status < 0, "a wrong ABI hash was accepted")
    expect("ABI" in reply.text and "same version" in reply.text, "not clear: " + reply.text)
    expect_equal(raw.fds, [], "descriptors came with the refusal")
    raw.close()


def test_random_messages():
    """Well-formed headers with random insides, attached: any answer, no harm."""
    rng = random.Random(SEED)
    path = attach_path()
    abi = rc.abi_hash(path)
    with Traffic():
        raw = None
        for i in range(3000):
            if raw is None:
                raw = rc.Raw(path)
                raw.attach(abi)
            kind = rng.randrange(rc.NR)
            size = {rc.SET_CONFIG: rc.KV.size, rc.GET_CONFIG: rc.KV.size, rc.TCP_LISTEN: rc.LISTEN.size,
                    rc.TCP_ACCEPT: 8, rc.TCP_CONNECT: rc.CONNECT.size, rc.TCP_CLOSE: 8, rc.TCP_LISTEN_CLOSE: 8,
                    rc.TCP_ABORT: 8, rc.TCP_SET_OPTION: rc.OPT_BYTES, rc.TCP_GET_OPTION: rc.OPT_BYTES,
                    rc.ATTACH: rc.ATTACH_ITEM.size}.get(kind, 0)
            items = [scribble(rng, size) for _ in range(rng.randrange(4))] if size else []
            if raw.ask(kind, items, token=raw.token, start=rng.choice([0, 0, 5, 0xffffffff])) is None:
                raw.close()
                raw = None
        if raw:
            raw.close()
        expect_alive()


def scribble(rng, n):
    """n bytes, of small numbers more often than not: they get further."""
    data = bytearray(n)
    for i in range(0, n, 4):
        if rng.random() < 0.3:
            data[i:i + 4] = struct.pack("<I", rng.choice([1, 2, 7, 80, 0xffffffff, rng.randrange(1 << 32)]))[:n - i]
    return bytes(data)


def test_unread_replies():
    """Who asks and never reads stops itself, not the daemon."""
    with Traffic():
        raw = rc.Raw(attach_path())
        raw.sock.setblocking(False)
        sent = 0
        try:
            for _ in range(10000):
                raw.send(rc.message(rc.STATS))
                sent += 1
        except (BlockingIOError, ConnectionError):
            pass
        expect(sent < 10000, "the daemon took 10,000 requests whose replies nobody read")
        expect_alive()
        raw.close()


def test_many_connections():
    """Connections to the attach socket that do nothing: a bounded number, and others still get in."""
    held = []
    for _ in range(400):
        try:
            held.append(rc.Raw(attach_path(), 1))
        except OSError:
            break
    expect(bed.daemon.poll() is None, "mangod ended")
    for raw in held:
        raw.close()
    wait_for("health again", lambda: bed.ctl("health").returncode == 0, 5)


# ---- hostile shared memory ---------------------------------------------------------------------------------


class Hostile:
    """An application with a listener and some connections, which then breaks its shared memory."""

    def __init__(self, abi, conns=4):
        self.raw = rc.Raw(attach_path())
        expect_equal(self.raw.attach(abi).status, 0, "attach")
        self.raw.map()
        listen = rc.LISTEN.pack(rc.v4(""), VICTIM_PORT, 0, 64, self.raw.context, 0, 0, 0, 7)
        reply = self.raw.ask(rc.TCP_LISTEN, [listen], token=self.raw.token)
        expect_equal(reply.status, 0, "listen: " + reply.text)
        listener = rc.LISTEN.unpack_from(reply.items)[5]
        self.raw.ask(rc.TCP_ACCEPT, [rc.ACCEPT.pack(listener, 1000, self.raw.context, 0)], token=self.raw.token)
        self.peer = bed.peer_start(hold_and_talk, conns, self.raw.fds)
        self.windows = wait_for("its connections", lambda: len(w := self.raw.open_windows()) == conns and w)

    def end(self):
        self.raw.close()
        self.peer.result(20)


def hold_and_talk(n, fds):
    """n connections that send now and then until they are reset. fds: of the application, not for us."""
    for fd in fds:
        os.close(fd)
    conns = [tcp(DUT_ADDR, VICTIM_PORT) for _ in range(n)]
    deadline = time.monotonic() + 10
    while conns and time.monotonic() < deadline:
        for s in list(conns):
            try:
                s.setblocking(False)
                s.send(b"data from the peer " * 10)
                if s.recv(65536) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                conns.remove(s)
                s.close()
        time.sleep(0.02)
    return len(conns)


def break_rx_head(raw, w, _):
    raw.put(w, rc.RX_HEAD, 1 << 40)
    raw.ring(w)


def break_tx_head(raw, w, _):
    raw.put(w, rc.TX_HEAD, 1 << 40)
    raw.ring(w)


def break_tx_back(raw, w, _):
    raw.put(w, rc.TX_HEAD, 3000)
    raw.ring(w)
    time.sleep(0.2)
    raw.put(w, rc.TX_HEAD, 5)
    raw.put(w, rc.A_DIRTY, 0)
    raw.ring(w)


def break_doorbells(raw, w, _):
    off, stride, _, _ = raw.section(rc.DOORBELLS)
    for worker in range(raw.nr_workers):
        struct.pack_into("<I", raw.region, off + (raw.context * raw.nr_workers + worker) * stride, 0x7fffffff)
    raw.wake()


def break_events(raw, w, _):
    """Impossible consumer indices in the event rings, while events come."""
    off, stride, count, _ = raw.section(rc.EVENTS)
    for ring in range(min(count, 8)):
        struct.pack_into("<I", raw.region, off + ring * stride + 64, 0x7fffffff)
    raw.ring(w)


def break_windows(raw, w, rng):
    """Random words all over the windows, for a while, with doorbells for everything."""
    off = raw.section(rc.WINDOWS)[0]
    end = time.monotonic() + 1
    while time.monotonic() < end:
        for _ in range(50):
            at = off + rng.randrange(8) * rc.WINDOW_BYTES + rng.randrange(0, rc.WINDOW_BYTES, 4)
            struct.pack_into("<I", raw.region, at, rng.choice([0, 1, 0xffffffff, rng.randrange(1 << 32)]))
        try:
            raw.ring(rng.randrange(10), rng.choice([None, 0, 1, rng.randrange(1 << 32)]))
        except OSError:
            break


def break_everything(raw, w, rng):
    """Random bytes over header, rings, windows and the first payload, again and again."""
    top = min(raw.section(rc.PAYLOAD)[0] + (1 << 20), raw.region_bytes)
    sections = [raw.section(i) for i in range(5)]
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        for off, stride, count, _ in sections:
            span = min(stride * max(count, 1), 1 << 16, top - off)
            at = off + rng.randrange(max(span - 64, 1))
            raw.region[at:at + 64] = rng.randbytes(64)
        at = rng.randrange(top - 64)
        raw.region[at:at + 64] = rng.randbytes(64)
        for fd in raw.fds[3:]:
            os.write(fd, struct.pack("<Q", 1))


def break_flags(raw, w, rng):
    """Every bit of the application's flags, in every order."""
    for i in range(200):
        raw.put(w, rc.A_FLAGS, rng.randrange(1 << 32))
        raw.put(w, rc.A_DIRTY, i & 1)
        raw.ring(w)


def refuses(call, *words):
    try:
        call(*words)
    except OSError:
        return True
    return False


def ring_and_steal(fds):
    """Writes and reads the doorbells without end."""
    while True:
        for fd in fds:
            os.write(fd, struct.pack("<Q", 1))
            os.read(fd, 8)


def hold_locks(raw):
    """
    Keeps the kernel's locks of everything it has: an epoll set around the wake-ups and doorbells that waits for its own
    memory while it delivers, and a write into the region that waits for its own memory, too. Nothing else has the
    descriptors then, and whoever closes or punches them without care waits with it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    uffd = libc.syscall(323, os.O_CLOEXEC)
    if uffd < 0:
        return
    fcntl.ioctl(uffd, 0xc018aa3f, struct.pack("<QQQ", 0xaa, 0, 0))
    page = libc.mmap(None, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    fcntl.ioctl(uffd, 0xc020aa00, struct.pack("<QQQQ", page, 4096, 1, 0))
    trap = ctypes.c_void_p(page)
    threading.Thread(target=libc.write, args=(raw.fds[0], trap, 4096), daemon=True).start()
    with select.epoll() as ep:
        for fd in raw.fds[2:]:
            ep.register(fd, select.EPOLLIN)
            os.close(fd)
        libc.epoll_wait(ep.fileno(), trap, 10, -1)
        time.sleep(60)


def break_descriptors(raw, w, _):
    region, info, wake, *bells = raw.fds
    for fd in (region, info):
        expect(refuses(os.ftruncate, fd, 0) and refuses(os.ftruncate, fd, 1 << 40), "a memfd changes its size")
        expect(refuses(fcntl.fcntl, fd, F_ADD_SEALS, 8), "a memfd takes a further seal")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    expect(refuses(os.pwrite, info, b"x", 0), "the info page can be written")
    expect(refuses(mmap.mmap, info, os.fstat(info).st_size), "the info page can be mapped for writing")
    for fd in (wake, *bells):
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETOWN, bed.daemon.pid)
        fcntl.fcntl(fd, fcntl.F_SETFL, (flags | os.O_ASYNC) & ~os.O_NONBLOCK)
    with socket.socket(fileno=os.dup(wake)) as s:
        expect(refuses(s.send, b"x", socket.MSG_DONTWAIT), "it can write to its wake-ups")
        expect(refuses(s.sendmsg, [b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", region))],
                       socket.MSG_DONTWAIT), "it can send descriptors to its wake-ups")
    for child in (os.fork() for _ in range(2)):
        if child == 0:
            ring_and_steal(bells)
        thieves.append(child)
    struct.pack_into("<I", raw.region, raw.section(rc.CONTEXTS)[0], 1)  # it sleeps, and never takes a wake-up
    for _ in range(2000):
        raw.ring(w)
        struct.pack_into("<I", raw.region, raw.section(rc.CONTEXTS)[0], 1)
        time.sleep(0.0005)
    for child in thieves:
        os.kill(child, signal.SIGKILL)
    for fd in bells:
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError):
            os.write(fd, struct.pack("<Q", (1 << 64) - 2))
        os.set_blocking(fd, True)
    expect_alive()
    child = os.fork()
    if child == 0:
        raw.sock.close()
        time.sleep(0.3)  # not we: the daemon is to be the last to close, if it still has anything of it
        hold_locks(raw)
        os._exit(0)
    thieves.append(child)
    for fd in (wake, *bells):
        os.close(fd)
    raw.fds = [region, info]
    time.sleep(0.8)


# what it does, and whether the daemon must throw it out for it (else it may)
BREAKS = [(break_rx_head, True), (break_tx_head, True), (break_tx_back, True), (break_doorbells, True),
          (break_events, False), (break_flags, False), (break_windows, False), (break_everything, False),
          (break_descriptors, False)]
F_ADD_SEALS = 1033
thieves = []  # processes of break_descriptors() that outlive its session


def end_thieves():
    while thieves:
        child = thieves.pop()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def hostile(function, must_go):
    def one():
        rng = random.Random(SEED)
        abi = rc.abi_hash(attach_path())
        with Traffic():
            before = settled_holdings()
            h = Hostile(abi)
            try:
                function(h.raw, h.windows[0], rng)
                gone = h.raw.hung_up(2 if must_go else 0.3)
                expect(gone or not must_go, "it kept its session")
                expect_alive()
            finally:
                h.end()
            try:
                expect_freed(before, 3)
            finally:
                end_thieves()
        wait_for("all is over", lambda: counts() == {"sessions": 0, "connections": 0, "listeners": 0}, 5)

    return one


# ---- kill -9, hundreds of times ------------------------------------------------------------------------------


def sink_and_poke(stop_file):
    """Takes whatever victims send, and keeps connecting to them, until the file is there."""
    ls = socket.socket()
    ls.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    ls.bind((PEER_ADDR, 9500))
    ls.listen(256)
    ls.setblocking(False)
    conns, pokes = [], []
    while not os.path.exists(stop_file):
        while len(pokes) < 8:
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((DUT_ADDR, VICTIM_PORT))
            pokes.append((s, time.monotonic()))
        for s in select.select([ls] + conns, [], [], 0.01)[0]:
            try:
                if s is ls:
                    conns.append(ls.accept()[0])
                elif s.recv(1 << 18) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                conns.remove(s)
                s.close()
        for s, since in list(pokes):
            try:
                s.send(b"x" * 1000)
                s.recv(1000)
            except (BlockingIOError, BrokenPipeError):
                if time.monotonic() - since < 0.5:
                    continue
            except OSError:
                pass
            pokes.remove((s, since))
            s.close()
    return True


SCRIPTS = [
    f"connect c {PEER_ADDR} 9500\nsendn c 100000000\n",
    f"listen l {VICTIM_PORT} 64\naccept l a\nrecvn a 100000\naccept l b\naccept l c\nsendn c 1000000\n",
    f"listen l {VICTIM_PORT} 64\nconnect c {PEER_ADDR} 9500\nsendn c 10000\nclose c\nconnect d {PEER_ADDR} 9500\n"
    "sendn d 100000\naccept l a\nabort a\naccept l b\nclose b\n",
    f"connect c {PEER_ADDR} 9999\nconnect c {PEER_ADDR} 9500\nconnect d {PEER_ADDR} 9500\nclose l\n",
    "",
]


def test_kills():
    """Clients that die at random moments leave nothing: sessions, connections, listeners, memory, descriptors."""
    rng = random.Random(SEED)
    stop_file = bed.path("stop")
    log = open(bed.path("victims.log"), "ab")
    with Traffic():
        before = settled_holdings()
        peer = bed.peer_start(sink_and_poke, stop_file)
        rss = None
        for i in range(KILLS):
            victims = [kill_one_start(rng, log) for _ in range(1 + i % 2)]
            time.sleep(rng.random() ** 2 * 0.06)
            for v in victims:
                v.kill()
            for v in victims:
                v.wait()
                v.stdin.close()
            if i == KILLS // 3:
                rss = rss_mib()
        expect_alive()
        expect_freed(before, 5)
        grown = rss_mib() - rss
        expect(grown < 20, f"the daemon grew by {grown:.0f} MiB")
        open(stop_file, "w").close()
        peer.result(20)
    log.close()


def kill_one_start(rng, log):
    victim = subprocess.Popen([tool("mango_agent"), bed.address()], stdin=subprocess.PIPE, stdout=log, stderr=log,
                              env=dict(os.environ, **bed.env))
    victim.stdin.write(rng.choice(SCRIPTS).encode())
    victim.stdin.flush()
    return victim


def test_ends_well():
    expect_equal(bed.stop(), 0, "mangod's exit code")
    left = [f for _, _, files in os.walk(bed.path("run")) for f in files]
    expect_equal(left, [], "files left")


def recover():
    bed.tell()
    bed.end_all()
    shutil.rmtree(bed.path("run"), ignore_errors=True)
    bed.start()


def main():
    global bed
    harness.need_root()
    bed = harness.Bed(DRIVER, config={"slowpath": {"thread": os.environ.get("MANGO_E2E_SLOWPATH", "own")}}).up()
    bed.start()
    tests = [(f"requests over {name}", over(address)) for name, address in
             zip(("local", "grpc on tcp", "grpc on a unix socket"), addresses())]
    tests += [(f"all messages over {name}", messages(address)) for name, address in
              zip(("local", "grpc on tcp", "grpc on a unix socket"), addresses())]
    names = ["documented_example", "unreachable", "same_answers", "stranger", "grpc_health", "grpc_messages",
             "grpc_garbage", "bad_messages", "bad_items", "other_token", "abi_mismatch", "random_messages",
             "unread_replies", "many_connections"]
    tests += [(n.replace("_", " "), globals()["test_" + n]) for n in names]
    tests += [("hostile: " + f.__name__.replace("_", " "), hostile(f, must_go)) for f, must_go in BREAKS]
    tests += [("kills", test_kills), ("ends well", test_ends_well)]
    return harness.run(tests, recover=recover)


if __name__ == "__main__":
    sys.exit(main())
