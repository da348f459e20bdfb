#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mangod against the kernel's TCP over one driver: traffic.py af_packet|af_xdp|packet_gso|tap [WORD...]"""
import hashlib
import os
import random
import select
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import DUT_ADDR, DUT_ADDR6, PEER_ADDR, PEER_ADDR6, expect, expect_equal, recv_all, tcp, wait_for  # noqa: E402

PORT = 7
MIB = 1 << 20
SCALE = float(os.environ.get("MANGO_E2E_SCALE", "1"))  # less, for the sanitizers
BULK_BYTES = max(int(64 * SCALE), 1) * MIB

bed = None
server = None


def stream(seed, n):
    """n bytes that only this seed makes."""
    return random.Random(seed).randbytes(n)


def linger_reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def start_echo(*words):
    global server
    stop_server()
    server = bed.app("echo_server", "--port", str(PORT), *words)
    wait_for("the echo server listens", lambda: bed.listens(PORT))


def stop_server():
    global server
    if server:
        code = server.stop()
        expect(code == 0, f"the echo server ended by {code}: " + server.output()[-2000:])
        server = None
        wait_for("its listener is gone", lambda: bed.listeners() == [])


def settled():
    """What is left is TIME-WAIT, which has its time."""
    wait_for("all connections are gone", lambda: all(c["state"] == "time-wait" for c in bed.connections()), 5)


# ---- the peer's side: these run in its namespace -------------------------------------------------


def echo_once(port, n, seed):
    data = stream(seed, n)
    with tcp(DUT_ADDR, port) as s:
        s.sendall(data)
        return recv_all(s, n) == data


def echo_sizes(addr=DUT_ADDR):
    with tcp(addr, PORT) as s:
        for n in (1, 2, 536, 1447, 1448, 1449, 4096, 65535, 65536, 65537, 200000):
            data = stream(n, n)
            sent = 0
            got = b""
            s.setblocking(False)
            while len(got) < n:
                r, w, _ = select.select([s], [s] if sent < n else [], [], 20)
                expect(r or w, f"stuck at {len(got)} of {n}")
                if w:
                    sent += s.send(data[sent:sent + 65536])
                if r:
                    got += s.recv(65536)
            expect(got == data, f"{n} bytes came back wrong")
    return True


def push(port, n, seed, addr=DUT_ADDR):
    """Sends n bytes, half-closes, and reads the digest that the other end made."""
    data = stream(seed, n)
    with tcp(addr, port) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        digest = b""
        while True:
            piece = s.recv(4096)
            if piece == b"":
                break
            digest += piece
    return digest.decode().strip() == hashlib.sha256(data).hexdigest()


def many_at_once(n, addr=DUT_ADDR):
    """n connections open together, each echoes twice."""
    conns = []
    poller = select.epoll()
    for i in range(n):
        s = tcp(addr, PORT)
        conns.append(s)
    for turn in range(2):
        for i, s in enumerate(conns):
            s.sendall(struct.pack("!II", turn, i) * 16)
        for i, s in enumerate(conns):
            expect(recv_all(s, 128) == struct.pack("!II", turn, i) * 16, f"connection {i} got another's bytes")
    poller.close()
    for s in conns:
        s.close()
    return True


def many_short(n, at_once):
    """n connections, each one request and answer; at_once of them in flight."""
    ep = select.epoll()
    live = {}
    started = finished = 0
    while finished < n:
        while started < n and len(live) < at_once:
            s = socket.socket()
            s.setblocking(False)
            if s.connect_ex((DUT_ADDR, PORT)) not in (0, 115):
                raise OSError("connect")
            live[s.fileno()] = (s, started)
            ep.register(s.fileno(), select.EPOLLOUT)
            started += 1
        events = ep.poll(20)
        expect(events, f"stuck after {finished} connections")
        for fd, ev in events:
            s, i = live[fd]
            expect(not ev & (select.EPOLLERR | select.EPOLLHUP),
                   f"connection {i}: {s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)}")
            if ev & select.EPOLLOUT:
                s.send(struct.pack("!Q", i))
                ep.modify(fd, select.EPOLLIN)
            elif ev & select.EPOLLIN:
                expect(s.recv(64) == struct.pack("!Q", i), f"connection {i} got a wrong answer")
                ep.unregister(fd)
                s.close()
                del live[fd]
                finished += 1
    return True


SO_RCVBUFFORCE = 33


def serve_once(addr, port, handler, ready_fd, rcvbuf=None):
    with socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET) as ls:
        ls.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if rcvbuf is not None:
            ls.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, rcvbuf)
        ls.bind((addr, port))
        ls.listen(8)
        ls.settimeout(30)
        os.write(ready_fd, b"r")
        s, _ = ls.accept()
        s.settimeout(30)
        with s:
            return handler(s)


def peer_server(port, handler, addr=PEER_ADDR, rcvbuf=None):
    """Starts a kernel server for one connection; returns when it listens."""
    r, w = os.pipe()
    peer = bed.peer_start(serve_once, addr, port, handler, w, rcvbuf)
    os.close(w)
    expect(select.select([r], [], [], 10)[0] and os.read(r, 1) == b"r", "the peer's server did not start")
    os.close(r)
    return peer


# ---- tests -----------------------------------------------------------------------------------------


def test_ping():
    done = bed.peer(lambda: os.system(f"ping -c 3 -i 0.2 -W 2 {DUT_ADDR} >/dev/null 2>&1"))
    expect(done == 0, "no answer to ping")


def test_echo():
    start_echo()
    expect(bed.peer(echo_sizes), "echo")
    settled()


def test_bulk_from_peer():
    start_echo("--digest")
    expect(bed.peer(push, PORT, BULK_BYTES, 1), "the digest of what arrived is wrong")
    settled()


def test_bulk_to_peer():
    def take(s):
        h, n = hashlib.sha256(), 0
        while True:
            piece = s.recv(1 << 20)
            if piece == b"":
                return n, h.hexdigest()
            h.update(piece)
            n += len(piece)

    path = bed.path("bulk.bin")
    data = stream(2, BULK_BYTES)
    with open(path, "wb") as f:
        f.write(data)
    peer = peer_server(9001, take)
    sender = bed.app("file_transfer", "--send", path, "--to", PEER_ADDR, "--port", "9001")
    n, digest = peer.result(120)
    code = sender.stop(signal.SIGTERM) if sender.poll() is None and not wait_end(sender) else sender.wait(20)
    expect(n == BULK_BYTES and digest == hashlib.sha256(data).hexdigest(), f"{n} bytes came, or wrong ones")
    expect(code == 0, "the sender failed: " + sender.output()[-300:])
    settled()


def test_bulk_to_late_reader():
    """What lies in the peer's receive queue stays what was sent, however much is sent after it."""
    path = bed.path("late.bin")
    data = stream(4, 6 * MIB)
    with open(path, "wb") as f:
        f.write(data)

    def take_late(s):
        time.sleep(1)
        h, n = hashlib.sha256(), 0
        while piece := s.recv(1 << 20):
            h.update(piece)
            n += len(piece)
        return n, h.hexdigest()

    peer = peer_server(9002, take_late, rcvbuf=32 * MIB)
    sender = bed.app("file_transfer", "--send", path, "--to", PEER_ADDR, "--port", "9002")
    n, digest = peer.result(60)
    code = sender.wait(20)
    expect(n == len(data) and digest == hashlib.sha256(data).hexdigest(), f"{n} bytes came, or wrong ones")
    expect(code == 0, "the sender failed: " + sender.output()[-300:])
    settled()


def wait_end(process):
    wait_for("the program ends", lambda: process.poll() is not None, 20)
    return True


def test_bulk_both_ways():
    start_echo()
    expect(bed.peer(both_ways, BULK_BYTES // 4, seconds=120), "echoed bulk")
    settled()


def both_ways(n, addr=DUT_ADDR):
    sent, got = 0, 0
    out, back = hashlib.sha256(), hashlib.sha256()
    block = stream(3, MIB)
    with tcp(addr, PORT) as s:
        s.setblocking(False)
        while got < n:
            r, w, _ = select.select([s], [s] if sent < n else [], [], 20)
            expect(r or w, f"stuck: sent {sent}, got {got}")
            if w:
                k = s.send(block[sent % MIB:][:n - sent])
                out.update(block[sent % MIB:][:k])
                sent += k
            if r:
                piece = s.recv(1 << 20)
                expect(piece != b"", "closed early")
                back.update(piece)
                got += len(piece)
    return out.digest() == back.digest()


def test_thousand():
    start_echo()
    expect(bed.peer(many_at_once, int(1000 * SCALE)), "1,000 connections")
    settled()


def test_short():
    start_echo()
    expect(bed.peer(many_short, int(20000 * SCALE), 64, seconds=120), "20,000 short connections")
    settled()
    expect(bed.daemon.poll() is None, "mangod lives")


def test_half_close_by_peer():
    """The peer's FIN is end of stream; what is sent afterwards still arrives."""
    def half():
        with tcp(DUT_ADDR, 9100) as s:
            s.sendall(b"question")
            s.shutdown(socket.SHUT_WR)
            answer = b""
            while True:
                piece = s.recv(4096)
                if piece == b"":
                    return answer
                answer += piece

    agent = bed.agent()
    agent.ok("listen l 9100 8")
    peer = bed.peer_start(half)
    agent.ok("accept l a")
    expect(agent.ok("recv a 8") == [b"question".hex()], "the question")
    expect(agent.ok("recv a 8") == ["eof"], "end of stream")
    agent.ok("send a " + b"answer after your end".hex())
    agent.ok("close a")
    expect(peer.result() == b"answer after your end", "the answer")
    agent.stop()
    settled()


def test_half_close_by_us():
    def late(s):
        data = b""
        while True:
            piece = s.recv(4096)
            if piece == b"":
                break
            data += piece
        s.sendall(data[::-1])
        return True

    peer = peer_server(9101, late)
    agent = bed.agent()
    agent.ok(f"connect c {PEER_ADDR} 9101")
    agent.ok("send c " + b"abcdef".hex())
    agent.ok("shutdown c wr")
    expect(agent.ok("recv c 6") == [b"fedcba".hex()], "the answer after our end")
    expect(agent.ok("recv c 1") == ["eof"], "end of stream")
    agent.error("send c 00", "EPIPE")
    agent.ok("close c")
    peer.result()
    agent.stop()
    settled()


def test_reset_by_peer():
    def reset():
        s = tcp(DUT_ADDR, 9102)
        s.sendall(b"x")
        time.sleep(0.2)
        linger_reset(s)

    agent = bed.agent()
    agent.ok("listen l 9102 8")
    peer = bed.peer_start(reset)
    agent.ok("accept l a")
    agent.ok("recv a 1")
    agent.error("recv a 1", "ECONNRESET")
    agent.ok("close a")
    peer.result()
    agent.stop()
    settled()


def test_reset_by_us():
    def expect_reset():
        with tcp(DUT_ADDR, 9103) as s:
            s.sendall(b"x")
            try:
                return s.recv(1)
            except ConnectionResetError:
                return "reset"

    agent = bed.agent()
    agent.ok("listen l 9103 8")
    peer = bed.peer_start(expect_reset)
    agent.ok("accept l a")
    agent.ok("recv a 1")
    agent.ok("abort a")
    expect(peer.result() == "reset", "the peer saw no reset")
    agent.stop()
    settled()


def test_close_with_unread_data():
    """RFC 9293 3.6.1: closing with data unread resets."""
    def expect_reset():
        with tcp(DUT_ADDR, 9104) as s:
            s.sendall(b"never read")
            try:
                return s.recv(1)
            except ConnectionResetError:
                return "reset"

    agent = bed.agent()
    agent.ok("listen l 9104 8")
    peer = bed.peer_start(expect_reset)
    agent.ok("accept l a")
    time.sleep(0.3)
    agent.ok("close a")
    expect(peer.result() == "reset", "the peer saw no reset")
    agent.stop()
    settled()


def test_refused_here():
    def refused():
        try:
            tcp(DUT_ADDR, 9999)
        except ConnectionRefusedError:
            return True

    expect(bed.peer(refused), "a port without listener must refuse")


def test_refused_there():
    agent = bed.agent()
    agent.error(f"connect c {PEER_ADDR} 9998", "ECONNREFUSED")
    agent.stop()
    settled()


def test_nobody_there():
    """No such neighbour: the connect fails, it does not hang."""
    agent = bed.agent()
    start = time.monotonic()
    answer = agent.call("connect c 10.77.0.99 80", 60)
    expect(answer in ("err EHOSTUNREACH", "err ETIMEDOUT"), answer)
    expect(time.monotonic() - start < 30, "that took long")
    agent.stop()
    settled()


def test_peer_vanishes():
    """Unacknowledged data and a silent peer: the connection ends with ETIMEDOUT after its user timeout."""
    agent = bed.agent()
    agent.ok("listen l 9105 8")

    def vanish():
        s = tcp(DUT_ADDR, 9105)
        s.sendall(b"x")
        time.sleep(0.3)
        os.system("ip link set mg1 down" if bed.driver != "tap" else
                  "nft add table netdev gone && nft add chain netdev gone out "
                  "'{ type filter hook egress device mg1 priority 0 ; policy drop ; }'")
        s.detach()
        return True

    peer = bed.peer_start(vanish)
    agent.ok("accept l a")
    agent.ok("recv a 1")
    agent.ok("setopt a user_timeout_ms 2000")
    peer.result()
    agent.ok("send a " + (b"y" * 1000).hex())
    start = time.monotonic()
    agent.error("recv a 1", "ETIMEDOUT", 30)
    expect(time.monotonic() - start < 15, "that took long")
    agent.ok("close a")
    agent.stop()
    bed.peer(lambda: os.system("ip link set mg1 up" if bed.driver != "tap" else "nft delete table netdev gone"))
    settled()
    start_echo()
    wait_for("the link works again", lambda: bed.peer(echo_once, PORT, 100, 5), 20)


def test_app_killed():
    """kill -9 of a server: its peers get RST, its port is free again, within a second."""
    start_echo()

    def hold():
        with tcp(DUT_ADDR, PORT) as s:
            s.sendall(b"hello")
            recv_all(s, 5)
            os.kill(server.pid, signal.SIGKILL)
            start = time.monotonic()
            try:
                s.recv(1)
            except ConnectionResetError:
                return time.monotonic() - start

    # `ip netns exec` runs the program in its place, so the pid is the server's own.
    took = bed.peer(hold)
    expect(took is not None and took < 1.0, f"no reset within a second ({took})")
    server.wait()
    stop_server_after_death()
    wait_for("the session is gone", lambda: bed.listeners() == [], 1.0)
    start_echo()
    expect(bed.peer(echo_once, PORT, 1000, 6), "a new server on the same port")
    settled()


def test_daemon_killed():
    """kill -9 of mangod: applications learn it at once; a new daemon takes its place."""
    agent = bed.agent()
    agent.ok("listen l 9106 8")
    agent.send("accept l a")
    time.sleep(0.3)
    bed.daemon.signal(signal.SIGKILL)
    bed.daemon.wait()
    answer = agent.reply(5)
    expect(answer in ("err ECONNRESET", "err ENOTCONN"), f"a blocked accept gave {answer}")
    answer = agent.call(f"connect c {PEER_ADDR} 9", 5)
    expect(answer in ("err ENOTCONN", "err ECONNRESET"), f"a new socket gave {answer}")
    agent.stop()
    stop_server_after_death()
    bed.start()
    start_echo()
    expect(bed.peer(echo_once, PORT, 1000, 7), "the new daemon serves")


def stop_server_after_death():
    global server
    if server:
        server.stop(signal.SIGKILL)
        server = None


# ---- the same over IPv6 ----------------------------------------------------------------------------


def dut_link_local():
    """The link-local address that mangod made of its port's MAC address."""
    with open(bed.path("mangod.log")) as f:
        mac = [int(x, 16) for x in next(line for line in f if "event=open" in line).split("mac=")[1].split()[0].split(":")]
    raw = bytes([0xfe, 0x80] + [0] * 6 + [mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe] + mac[3:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def peer_link_local():
    def read():
        with open("/proc/net/if_inet6") as f:
            text = next(line for line in f if line.startswith("fe80") and "mg1" in line).split()[0]
        return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(text))

    return bed.peer(read)


def test_v6_ping():
    for address in (DUT_ADDR6, dut_link_local() + "%mg1"):
        done = bed.peer(lambda a=address: os.system(f"ping -6 -c 2 -i 0.2 -W 2 {a} >/dev/null 2>&1"))
        expect(done == 0, f"no answer to ping of {address}")


def test_v6_echo():
    start_echo("--bind", "::")
    expect(bed.peer(echo_sizes, DUT_ADDR6), "echo")
    settled()


def test_v6_bulk_from_peer():
    start_echo("--digest", "--bind", "::")
    expect(bed.peer(push, PORT, BULK_BYTES // 8, 11, DUT_ADDR6), "the digest of what arrived is wrong")
    settled()


def test_v6_bulk_both_ways():
    start_echo("--bind", "::")
    expect(bed.peer(both_ways, BULK_BYTES // 8, DUT_ADDR6, seconds=120), "echoed bulk")
    settled()


def test_v6_thousand():
    start_echo("--bind", "::")
    expect(bed.peer(many_at_once, int(1000 * SCALE), DUT_ADDR6), "1,000 connections")
    settled()


def test_v6_connect():
    """Connections of ours: answered, reset, refused, to nobody, to nowhere."""
    def greet(s):
        s.sendall(b"hello")
        return s.getpeername()[0]

    agent = bed.agent()
    peer = peer_server(9201, greet, PEER_ADDR6)
    agent.ok(f"connect c {PEER_ADDR6} 9201")
    expect_equal(agent.ok("recv c 5"), [b"hello".hex()], "the greeting")
    names = agent.ok("names c")
    expect_equal((names[0], names[2:]), (DUT_ADDR6, [PEER_ADDR6, "9201"]), "names")
    expect_equal(peer.result(), DUT_ADDR6, "our address as the peer sees it")
    agent.ok("close c")
    agent.error(f"connect d {PEER_ADDR6} 9998", "ECONNREFUSED")
    agent.error("connect e 2001:db8::1 80", "ENETUNREACH")
    answer = agent.call("connect f fd77::99 80", 60)
    expect(answer == "err EHOSTUNREACH", answer)
    agent.stop()
    settled()


def test_v6_resets():
    def refused():
        try:
            tcp(DUT_ADDR6, 9999)
        except ConnectionRefusedError:
            return True

    def reset_us():
        s = tcp(DUT_ADDR6, 9202)
        s.sendall(b"x")
        time.sleep(0.2)
        linger_reset(s)

    def expect_reset():
        with tcp(DUT_ADDR6, 9202) as s:
            s.sendall(b"x")
            try:
                return s.recv(1)
            except ConnectionResetError:
                return "reset"

    expect(bed.peer(refused), "a port without listener must refuse")
    agent = bed.agent()
    agent.ok("socket l")
    agent.ok("bind l :: 9202")
    agent.ok("listen l 8")
    peer = bed.peer_start(reset_us)
    agent.ok("accept l a")
    agent.ok("recv a 1")
    agent.error("recv a 1", "ECONNRESET")
    agent.ok("close a")
    peer.result()
    peer = bed.peer_start(expect_reset)
    agent.ok("accept l a")
    agent.ok("recv a 1")
    agent.ok("abort a")
    expect(peer.result() == "reset", "the peer saw no reset")
    agent.stop()
    settled()


def test_v6_dual_stack():
    """One listener for both families, or for IPv6 only; who stands in whose way is as on Linux."""
    def hold(addr):
        with tcp(addr, 9203) as s:
            return s.recv(1)

    def refused():
        try:
            tcp(DUT_ADDR, 9203)
        except ConnectionRefusedError:
            return True

    agent = bed.agent()
    for line in ("socket l", "bind l :: 9203", "listen l 8", "socket k", "bind k 0.0.0.0 9203"):
        agent.ok(line)
    agent.error("listen k 8", "EADDRINUSE")
    for addr, name in ((DUT_ADDR, "::ffff:" + DUT_ADDR), (DUT_ADDR6, DUT_ADDR6)):
        peer = bed.peer_start(hold, addr)
        agent.ok("accept l a")
        expect_equal(agent.ok("names a")[0], name, "the name of the accepted socket")
        shown = f"[{addr}]:9203" if ":" in addr else f"{addr}:9203"
        expect(any(c["local"] == shown for c in bed.connections()), f"mangoctl shows {shown}")
        agent.ok("close a")
        expect(peer.result() == b"", "the end")
    expect(any(x["local"] == "[::]:9203" for x in bed.listeners()), "mangoctl shows [::]:9203")
    agent.ok("close l")
    for line in ("socket m", "setopt m v6only 1", "bind m :: 9203", "listen m 8"):
        agent.ok(line)
    expect(bed.peer(refused), "a listener for IPv6 only takes IPv4")
    agent.ok("listen k 8")  # now both stand side by side
    peer = bed.peer_start(hold, DUT_ADDR6)
    agent.ok("accept m a")
    agent.ok("close a")
    peer.result()
    peer = bed.peer_start(hold, DUT_ADDR)
    agent.ok("accept k a")
    expect_equal(agent.ok("names a")[0], DUT_ADDR, "the name of the accepted socket")
    agent.ok("close a")
    peer.result()
    agent.stop()
    settled()


def test_v6_link_local():
    def hello(addr):
        with tcp(addr, 9204) as s:
            s.sendall(b"link")
            return s.recv(8)

    def greet(s):
        s.sendall(b"hello")
        return True

    here, there = dut_link_local(), peer_link_local()
    agent = bed.agent()
    for line in ("socket l", "bind l :: 9204", "listen l 8"):
        agent.ok(line)
    peer = bed.peer_start(hello, here + "%mg1")
    agent.ok("accept l a")
    agent.ok("recv a 4")
    names = agent.ok("names a")
    expect_equal((names[0], names[2]), (here + "%1", there + "%1"), "names")
    agent.ok("send a " + b"here".hex())
    agent.ok("close a")
    expect_equal(peer.result(), b"here", "the answer")
    peer = peer_server(9205, greet, "::")
    agent.ok(f"connect c {there}%1 9205")
    expect_equal(agent.ok("recv c 5"), [b"hello".hex()], "the greeting")
    expect_equal(agent.ok("names c")[0], here + "%1", "our address")
    peer.result()
    agent.ok("close c")
    agent.stop()
    settled()


def test_ends_well():
    stop_server()
    expect(bed.stop() == 0, "mangod's exit code")


def recover():
    """A fresh daemon after a failure."""
    global server
    bed.tell()
    bed.end_all()
    server = None
    bed.start()


def main():
    global bed
    harness.need_root()
    driver = sys.argv[1]
    bed = harness.Bed(driver).up()
    bed.start()
    names = ["ping", "echo", "bulk_from_peer", "bulk_to_peer", "bulk_to_late_reader", "bulk_both_ways", "thousand", "short", "half_close_by_peer",
             "half_close_by_us", "reset_by_peer", "reset_by_us", "close_with_unread_data", "refused_here", "refused_there",
             "nobody_there",
             "v6_ping", "v6_echo", "v6_bulk_from_peer", "v6_bulk_both_ways", "v6_thousand", "v6_connect", "v6_resets",
             "v6_dual_stack", "v6_link_local", "peer_vanishes", "app_killed", "daemon_killed", "ends_well"]
    return harness.run([(f"{driver}: {n.replace('_', ' ')}", globals()["test_" + n]) for n in names], sys.argv[2:],
                       recover)


if __name__ == "__main__":
    sys.exit(main())
