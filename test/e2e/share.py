#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Processes that share sockets, and are killed at any moment. share.py [WORD...]

A server of several processes (test/lib/forker.c) has a listener and a connection in common. Another application's
traffic goes on beside it and must not notice; when all of a server is dead, the daemon has everything back.
"""
import os
import random
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import control  # noqa: E402
import harness  # noqa: E402
from harness import (DUT_ADDR, PEER_ADDR, Failure, Process, expect, expect_equal, netns, recv_all, tcp,  # noqa: E402
                     tool, wait_for)

DRIVER = os.environ.get("MANGO_E2E_DRIVER", "af_packet")
KILLS = int(os.environ.get("MANGO_E2E_KILLS", "120"))
SEED = int(os.environ.get("MANGO_E2E_SEED", "1"))
PORT, CHAT_PORT = 9500, 9501
CHILDREN = 3

bed = None


class Forker:
    """One server of several processes."""

    def __init__(self, chat=False):
        words = [bed.address(), str(PORT), str(CHILDREN)] + ([PEER_ADDR, str(CHAT_PORT)] if chat else [])
        self.process = Process(netns(bed.dut) + [tool("mango_forker"), *words], bed.path("forker.log"), env=bed.env,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.process.popen.stdout.readline()
        expect_equal(line, b"ready\n", "the server: " + self.process.output()[-500:])
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            self.children = [int(p) for p in f.read().split()]

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        if pid == self.process.pid:
            self.process.wait()

    def kill_all(self):
        for pid in self.children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.stop(signal.SIGKILL)
        self.process.popen.stdin.close()
        self.process.popen.stdout.close()


def ask(port=PORT, text=b"hello"):
    with tcp(DUT_ADDR, port, timeout=5) as s:
        s.sendall(text)
        return recv_all(s, len(text))


def ask_often(n):
    for i in range(n):
        expect_equal(ask(text=b"%06d" % i), b"%06d" % i, "an echo")


def chat_peer(port, seconds):
    """Takes lines, says each back, and returns how many were torn."""
    torn = lines = 0
    with socket.socket() as ls:
        ls.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ls.bind((PEER_ADDR, port))
        ls.listen(1)
        ls.settimeout(20)
        s, _ = ls.accept()
        s.settimeout(seconds)
        rest = b""
        with s:
            while True:
                try:
                    piece = s.recv(65536)
                    s.sendall(piece)
                except ConnectionError:
                    return lines, torn, "reset"
                if not piece:
                    return lines, torn, "fin"
                rest += piece
                while len(rest) >= 64:
                    line, rest = rest[:64], rest[64:]
                    lines += 1
                    torn += line != line[:1] * 63 + b"\n"


def same_again(before, what):
    try:
        wait_for(what, lambda: control.holdings() == before, 10)
    except Failure:
        raise Failure(f"{what}: found {control.holdings()}, wanted {before}; {bed.ctl('sessions').stdout}"
                      f"{bed.ctl('listeners').stdout}{bed.ctl('connections').stdout}")


def test_shared_listener():
    """Children accept from their parent's listener; it outlives the parent and ends with the last of them."""
    before = control.settled_holdings()
    server = Forker()
    bed.peer(ask_often, 20)
    server.kill(server.process.pid)
    bed.peer(ask_often, 20)
    for pid in server.children[:-1]:
        server.kill(pid)
        bed.peer(ask_often, 10)
    expect(bed.listens(PORT), "the last child has the listener")
    server.kill(server.children[-1])
    wait_for("the listener is gone", lambda: not bed.listens(PORT), 3)
    server.kill_all()
    same_again(before, "everything is back")


def test_shared_connection():
    """Several processes write whole lines into one connection; it ends with the last of them, by FIN or reset."""
    before = control.settled_holdings()
    peer = bed.peer_start(chat_peer, CHAT_PORT, 20)
    time.sleep(0.3)
    server = Forker(chat=True)
    time.sleep(0.5)
    server.kill(server.process.pid)
    time.sleep(0.2)
    server.kill(server.children[0])
    time.sleep(0.5)
    expect(any(c["remote"].endswith(f":{CHAT_PORT}") for c in bed.connections()), "the connection lives")
    server.kill_all()
    lines, torn, _ = peer.result(20)
    expect(lines > 200, f"only {lines} lines came")
    expect_equal(torn, 0, "torn lines")
    same_again(before, "everything is back")


def one_round(rng):
    chat = rng.random() < 0.5
    peer = bed.peer_start(chat_peer, CHAT_PORT, 20) if chat else None
    if chat:
        time.sleep(0.1)
    server = Forker(chat)
    load = Process(netns(bed.peer_ns) + [tool("loadgen"), "--mode", "echo", "--conns", "4", "--addr", DUT_ADDR, "--port",
                                         str(PORT), "--seconds", "20"], bed.path("round.log"))
    time.sleep(rng.random() * 0.05)
    victims = [server.process.pid] + server.children
    rng.shuffle(victims)
    killed = 0
    for pid in victims[:-1]:
        time.sleep(rng.random() * 0.03)
        server.kill(pid)
        killed += 1
    if victims[-1] != server.process.pid:  # a child is left: it serves
        bed.peer(ask_often, 1)
    time.sleep(rng.random() * 0.02)
    server.kill_all()
    load.stop(signal.SIGKILL)
    if peer is not None:
        _, torn, _ = peer.result(20)
        expect_equal(torn, 0, "torn lines")
    return killed + 1


def test_kills():
    """Any process at any moment, again and again; others' connections go on, and the daemon has all back."""
    rng = random.Random(SEED)
    with control.Traffic():
        before = control.settled_holdings()
        rss = None
        killed = rounds = 0
        while killed < KILLS:
            killed += one_round(rng)
            rounds += 1
            same_again(before, f"round {rounds} of seed {SEED}: everything is back")
            if rounds == 3:
                rss = control.rss_mib()
        grown = control.rss_mib() - (rss or control.rss_mib())
        expect(grown < 24, f"the daemon grew by {grown:.1f} MiB")
    print(f"# {killed} processes were killed in {rounds} rounds")


def talk(addr, port):
    """Two applications of one mangod: bytes both ways, a refusal, and both ends of the end."""
    server, client = bed.agent(), bed.agent()
    client.error(f"connect x {addr} {port}", "ECONNREFUSED")
    if ":" in addr:
        server.ok("socket l")
        server.ok(f"bind l :: {port}")
        server.ok("listen l 8")
    else:
        server.ok(f"listen l {port} 8")
    client.ok(f"connect c {addr} {port}")
    server.ok("accept l a")
    names = client.ok("names c")
    expect_equal((names[0], names[2], names[3]), (addr, addr, str(port)), "names")
    client.ok("send c " + b"question".hex())
    expect_equal(server.ok("recv a 8"), [b"question".hex()], "what the server got")
    server.ok("send a " + b"answer".hex())
    expect_equal(client.ok("recv c 6"), [b"answer".hex()], "what the client got")
    client.send("sendn c 20000000")
    server.ok("recvn a 20000000")
    expect(client.reply().startswith("ok"), "sending much")
    client.ok("close c")
    expect_equal(server.ok("recv a 1"), ["eof"], "the end of the stream")
    server.ok("close a")
    client.stop()
    server.stop()


def test_local():
    """Connections to mangod's own address, with one worker and with two; 127/8 is not mangod's by default."""
    before = control.settled_holdings()
    talk(DUT_ADDR, 9600)
    agent = bed.agent()
    agent.error("connect c 127.0.0.1 9600", "ENETUNREACH")
    agent.stop()
    same_again(before, "everything is back")
    bed.stop()
    bed.start({"fastpath": {"workers": 2}, "tcp": {"loopback": True}})
    talk(DUT_ADDR, 9601)
    for port in range(9602, 9606):  # on either worker
        talk("127.0.0.1", port)
    talk("::1", 9606)
    expect(sum(v for k, v in bed.stats().items() if k.endswith("worker_local_packets")) > 1000, "not by memory")


def recover():
    bed.tell()
    for p in list(Process.alive):
        if p is not bed.daemon:
            p.stop(signal.SIGKILL)


def main():
    global bed
    harness.need_root()
    bed = harness.Bed(DRIVER).up()
    control.bed = bed
    bed.start()
    names = ["shared_listener", "shared_connection", "kills", "local"]
    return harness.run([(n.replace("_", " "), globals()["test_" + n]) for n in names], recover=recover)


if __name__ == "__main__":
    sys.exit(main())
