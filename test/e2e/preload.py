#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unmodified programs under libmango_preload.so: a short round of each way to use it.

The conformance of single calls is test/posix; real servers under load are test/apps. Here: python as server and client,
curl, nginx and redis when they are installed, policy, a daemon that is absent or dies.
"""
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (BUILD, DUT_ADDR, PEER_ADDR, Bed, Process, Skip, expect, expect_equal, need_root, netns, recv_all,
                     run, signals, tcp, wait_for)

PYTHON = sys.executable
bed = None


def mango(argv, log, env=None, options=()):
    """A program in the daemon's namespace under `mango run`."""
    launcher = os.path.join(BUILD, "libclient/run/mango")
    settings = {**bed.env, "MANGO_ADDRESS": bed.address(), **(env or {})}
    return Process(netns(bed.dut) + [launcher, "run", *options] + argv, bed.path(log), env=settings)


def python(code, log, env=None, options=()):
    return mango([PYTHON, "-c", code], log, env, options)


def finish(process, what):
    code = process.wait(30)
    expect_equal(code, 0, f"{what}: {process.output()[-800:]}")
    return process.output()


def serve_with_selectors():
    """A python server with epoll; the kernel's client talks to it over mangod, and over 127.0.0.1."""
    code = f"""
import selectors, socket
sel = selectors.EpollSelector()
l = socket.create_server(("0.0.0.0", 7001))
l.setblocking(False)
sel.register(l, selectors.EVENT_READ)
ended = 0
while ended < 5:
    for key, mask in sel.select():
        if key.fileobj is l:
            c, a = l.accept()
            c.setblocking(False)
            sel.register(c, selectors.EVENT_READ)
            continue
        data = key.fileobj.recv(65536)
        if data:
            key.fileobj.setblocking(True)
            key.fileobj.sendall(data)
            key.fileobj.setblocking(False)
        else:
            sel.unregister(key.fileobj)
            key.fileobj.close()
            ended += 1
"""
    server = python(code, "selectors.log")
    wait_for("it listens", lambda: bed.listens(7001))

    def talk():
        socks = [tcp(DUT_ADDR, 7001) for _ in range(4)]
        for i, s in enumerate(socks):
            s.sendall(bytes([i]) * 100000)
        for i, s in enumerate(socks):
            expect_equal(recv_all(s, 100000), bytes([i]) * 100000, "the echo")
            s.close()

    bed.peer(talk)
    local = subprocess.run(netns(bed.dut) + [PYTHON, "-c", "import socket\ns = socket.create_connection(('127.0.0.1', 7001))\n"
                                             "s.sendall(b'local')\nassert s.recv(9) == b'local'\n"], timeout=20)
    expect_equal(local.returncode, 0, "the kernel's side of the same listener")
    finish(server, "the server")


EXITS = {  # none of them calls close()
    "by exit()": "libc.exit(0)",
    "by _exit()": "libc._exit(0)",
    "by exit(), with a stream that was not flushed": 'f = libc.fdopen(s.fileno(), b"w"); libc.fputs(b"y" * 1000, f); libc.exit(0)',
}


def ends_in_order():
    """What a program sent before it ended arrives, to a reader that is slow, and then FIN."""
    def read_late():
        with socket.socket() as l:
            l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            l.bind((PEER_ADDR, 7010))
            l.listen()
            c, _ = l.accept()
            time.sleep(1.5)
            n = 0
            while piece := c.recv(65536):
                n += len(piece)
            return n

    for how, last in EXITS.items():
        peer = bed.peer_start(read_late)
        program = python(f"""
import ctypes, socket, time
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
while True:
    try:
        s = socket.create_connection(("{PEER_ADDR}", 7010))
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
s.sendall(b"x" * 60000)
{last}
""", "ends.log")
        finish(program, "the program that ends " + how)
        expect_equal(peer.result(), 60000 + (1000 if "stream" in how else 0), f"bytes that arrived, {how}")


def connect_from_python():
    """Blocking, with a time-out, refused; the kernel is the server."""
    def server():
        l = socket.create_server((PEER_ADDR, 7002))
        c, _ = l.accept()
        data = recv_all(c, 300000)
        c.sendall(hashlib.sha256(data).digest())
        c.close()

    peer = bed.peer_start(server)
    time.sleep(0.3)
    code = f"""
import hashlib, os, socket
s = socket.create_connection(("{PEER_ADDR}", 7002), timeout=10)
assert s.getpeername() == ("{PEER_ADDR}", 7002) and s.getsockname()[0] == "{DUT_ADDR}"
data = os.urandom(300000)
s.sendall(data)
assert s.recv(32, socket.MSG_WAITALL) == hashlib.sha256(data).digest()
assert s.recv(1) == b""
try:
    socket.create_connection(("{PEER_ADDR}", 7003), timeout=10)
    raise SystemExit("not refused")
except ConnectionRefusedError:
    pass
"""
    finish(python(code, "connect.log"), "the client")
    peer.result()


def fork_and_threads():
    """socketserver: a process per connection, then a thread per connection."""
    for kind, port in (("Forking", 7004), ("Threading", 7005)):
        code = f"""
import socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline().upper())
class Server(socketserver.{kind}TCPServer):
    allow_reuse_address = True
Server(("{DUT_ADDR}", {port}), Echo).serve_forever()
"""
        server = python(code, f"{kind}.log")
        wait_for("it listens", lambda port=port: bed.listens(port))

        def ask(port=port):
            for _ in range(5):
                s = tcp(DUT_ADDR, port)
                s.sendall(b"hello\n")
                expect_equal(recv_all(s, 6), b"HELLO\n", "the answer")
                expect_equal(s.recv(1), b"", "the end")
                s.close()

        bed.peer(ask)
        server.stop(signals.SIGTERM)


def curl_gets_a_file():
    if not shutil.which("curl"):
        raise Skip("curl is not installed")

    def server():
        l = socket.create_server((PEER_ADDR, 7006))
        c, _ = l.accept()
        c.recv(65536)
        c.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000)
        c.close()

    peer = bed.peer_start(server)
    time.sleep(0.3)
    out = finish(mango(["curl", "-sS", "-o", "/dev/null", "-w", "%{size_download}", f"http://{PEER_ADDR}:7006/"],
                       "curl.log"), "curl")
    expect_equal(out.strip().splitlines()[-1], "100000", "bytes")
    peer.result()


def http_get(port, path):
    s = tcp(DUT_ADDR, port)
    s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    data = b""
    while True:
        piece = s.recv(1 << 20)
        if not piece:
            return data.partition(b"\r\n\r\n")[2]
        data += piece


def nginx_with_workers():
    """Two workers, sendfile, reload, and the end of all its connections."""
    if not shutil.which("nginx"):
        raise Skip("nginx is not installed")
    root = bed.path("html")
    os.makedirs(root, exist_ok=True)
    for d in (bed.dir, root):
        os.chmod(d, 0o755)
    body = os.urandom(3 << 20)
    with open(root + "/big", "wb") as f:
        f.write(body)
    with open(bed.path("nginx.conf"), "w") as f:
        f.write(f"daemon off; worker_processes 2; pid {bed.dir}/nginx.pid; error_log {bed.dir}/nginx-error.log;\n"
                "events { worker_connections 256; }\n"
                f"http {{ access_log off; sendfile on; server {{ listen 7007; root {root}; }} }}\n")
    server = mango(["nginx", "-e", bed.path("nginx-error.log"), "-c", bed.path("nginx.conf")], "nginx.log")
    wait_for("it listens", lambda: bed.listens(7007))
    for _ in range(2):
        for _ in range(4):
            expect_equal(bed.peer(http_get, 7007, "/big"), body, "the file")
        server.signal(signals.SIGHUP)
        time.sleep(1)
    expect_equal(bed.peer(http_get, 7007, "/big"), body, "the file after a reload")
    server.stop(signals.SIGQUIT)
    wait_for("its listener is gone", lambda: not bed.listens(7007))


def redis_saves_while_it_serves():
    if not shutil.which("redis-server"):
        raise Skip("redis is not installed")
    server = mango(["redis-server", "--port", "7008", "--bind", "0.0.0.0", "--protected-mode", "no", "--dir", bed.dir],
                   "redis.log")
    wait_for("it listens", lambda: bed.listens(7008))

    def commands():
        s = tcp(DUT_ADDR, 7008)
        s.sendall(b"".join(b"SET k%d %d\r\n" % (i, i) for i in range(1000)))
        expect_equal(recv_all(s, 5000), b"+OK\r\n" * 1000, "pipelined answers")
        s.sendall(b"BGSAVE\r\n")
        expect(s.recv(100).startswith(b"+Background"), "BGSAVE")
        for i in range(200):
            s.sendall(b"GET k%d\r\n" % i)
            expect(s.recv(100).startswith(b"$"), "GET while it saves")
        s.close()

    bed.peer(commands)
    wait_for("the save is done", lambda: "terminated with success" in server.output())
    server.stop(signals.SIGTERM)


def policy_keeps_a_port_for_the_kernel():
    code = """
import socket, sys
l = socket.create_server(("0.0.0.0", 7009))
c, a = l.accept()
c.sendall(c.recv(10))
c.close()
"""
    server = python(code, "policy.log", options=["--listen", "!:7009,auto"])
    time.sleep(0.7)
    expect(not bed.listens(7009), "mangod does not have the port")
    subprocess.run(netns(bed.dut) + [PYTHON, "-c", "import socket\ns = socket.create_connection(('127.0.0.1', 7009))\n"
                                     "s.sendall(b'x')\nassert s.recv(1) == b'x'\n"], timeout=20, check=True)
    finish(server, "the server")


def ticks(pid):
    """State and CPU time, in hundredths of a second."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return fields[0], int(fields[11]) + int(fields[12])


def blocked_programs_sleep():
    """State S, and no CPU, in recv, accept and epoll_wait."""
    code = """
import socket, threading, select
l = socket.create_server(("0.0.0.0", 7010))
threading.Thread(target=l.accept, daemon=True).start()
ep = select.epoll()
l2 = socket.create_server(("0.0.0.0", 7011))
ep.register(l2.fileno(), select.EPOLLIN)
ep.poll()
"""
    server = python(code, "sleep.log")
    wait_for("it listens", lambda: bed.listens(7011))
    time.sleep(0.5)

    _, before = ticks(server.pid)
    time.sleep(1)
    state, after = ticks(server.pid)
    expect_equal(state, "S", "its state")
    expect(after - before <= 2, f"it used {after - before} ticks in a second of waiting")
    server.stop(signals.SIGKILL)


def busy_calls_make_no_system_call():
    """recv, poll and epoll_wait while there is data: strace sees next to nothing between two marks."""
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    code = """
import array, fcntl, os, select, socket, termios, time
c, _ = socket.create_server(("0.0.0.0", 7020)).accept()
ep, po = select.epoll(), select.poll()
ep.register(c, select.EPOLLIN)
po.register(c, select.POLLIN)
n = array.array("i", [0])
while n[0] < 30000:
    time.sleep(0.05)
    fcntl.ioctl(c, termios.FIONREAD, n)
time.sleep(0.1)
os.getpgid(0)
for i in range(1000):
    assert len(c.recv(10)) == 10 and ep.poll() and po.poll()
    fcntl.ioctl(c, termios.FIONREAD, n)
os.getpgid(0)
"""
    trace = bed.path("busy.strace")
    launcher = os.path.join(BUILD, "libclient/run/mango")
    server = Process(netns(bed.dut) + ["strace", "-o", trace, launcher, "run", PYTHON, "-c", code], bed.path("busy.log"),
                     env={**bed.env, "MANGO_ADDRESS": bed.address()})
    wait_for("it listens", lambda: bed.listens(7020))

    def send():
        with tcp(DUT_ADDR, 7020) as s:
            s.sendall(bytes(30000))
            s.recv(1)

    peer = bed.peer_start(send)
    finish(server, "the server")
    with open(trace) as f:
        between = f.read().split("getpgid(0)")[1].splitlines()[1:]
    expect(len(between) <= 8, f"{len(between)} system calls in 4000: {between[:5]}")
    try:
        peer.result()
    except Exception:  # it was reset: not all was read
        pass


def blocked_calls_wake_at_once():
    """A request of one byte and its answer, 2000 times: no time-out of anybody's lies between."""
    code = """
import socket
c, _ = socket.create_server(("0.0.0.0", 7021)).accept()
c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while True:
    b = c.recv(1)
    if not b:
        break
    c.sendall(b)
"""
    server = python(code, "wake.log", options=["--spin-us", "0"])
    wait_for("it listens", lambda: bed.listens(7021))

    def ask():
        took = []
        with tcp(DUT_ADDR, 7021) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(2000):
                start = time.perf_counter()
                s.sendall(b"x")
                s.recv(1)
                took.append(time.perf_counter() - start)
        return sorted(took)

    took = bed.peer(ask)
    finish(server, "the server")
    print(f"# round trips: {took[200] * 1e6:.0f} us at 10 %, {took[1000] * 1e6:.0f} us at 50 %", flush=True)
    expect(took[200] < 500e-6, f"a tenth took less than {took[200] * 1e6:.0f} us only")


def refuses_what_it_cannot_reach():
    """static, Go and setuid programs: one clear line and 126, nothing is run."""
    launcher = os.path.join(BUILD, "libclient/run/mango")
    made = bed.path("hello")

    def told(path, word):
        done = subprocess.run([launcher, "run", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
        expect_equal(done.returncode, 126, f"exit code for a program that is {word}")
        expect(word in done.stderr and done.stderr.count("\n") == 1 and done.stdout == "", "the message: " + done.stderr)

    with open(made + ".c", "w") as f:
        f.write('#include <stdio.h>\nint main(void) { puts("ran"); return 0; }\n')
    subprocess.run(["gcc", "-static", "-o", made + "-static", made + ".c"], check=True)
    told(made + "-static", "statically")
    subprocess.run(["gcc", "-o", made, made + ".c"], check=True)
    expect_equal(subprocess.run([launcher, "run", made], stdout=subprocess.PIPE, text=True).stdout, "ran\n", "a plain one")
    with open(made + ".note", "w") as f:
        f.write("buildinfo")
    subprocess.run(["objcopy", "--add-section", f".go.buildinfo={made}.note", made, made + "-go"], check=True)
    told(made + "-go", "Go program")
    shutil.copy(made, made + "-setuid")
    os.chown(made + "-setuid", 65534, 65534)
    os.chmod(made + "-setuid", 0o4755)
    told(made + "-setuid", "setuid")


def without_a_daemon():
    code = """
import socket
l = socket.create_server(("0.0.0.0", 7012))
c = socket.create_connection(("127.0.0.1", 7012))
l.accept()[0].sendall(b"ok")
assert c.recv(2) == b"ok"
"""
    out = finish(python(code, "absent.log", {"MANGO_ADDRESS": "local:nobody"}), "the program")
    expect_equal(out.count("no mangod at local:nobody"), 1, "lines about it in " + out)
    refused = python(code, "refuse.log", {"MANGO_ADDRESS": "local:nobody"}, ["--require"])
    expect(refused.wait(20) != 0, "--require lets it fail")


def daemon_dies():
    """ECONNRESET for what was open; a new socket finds the next daemon."""
    code = f"""
import socket, sys, time
s = socket.create_connection(("{PEER_ADDR}", 7013), timeout=20)
print("connected", flush=True)
try:
    s.recv(1)
    raise SystemExit("no error")
except ConnectionResetError:
    print("reset", flush=True)
for i in range(200):
    try:
        s = socket.create_connection(("{PEER_ADDR}", 7013), timeout=5)
        if s.getsockname()[0] == "{DUT_ADDR}":
            break
    except OSError:
        pass
    time.sleep(0.1)
else:
    raise SystemExit("never came back")
"""

    def server():
        l = socket.create_server((PEER_ADDR, 7013))
        a, _ = l.accept()
        b, _ = l.accept()
        time.sleep(0.2)

    peer = bed.peer_start(server)
    time.sleep(0.3)
    client = python(code, "dies.log")
    wait_for("it is connected", lambda: "connected" in client.output())
    bed.stop(signals.SIGKILL)
    wait_for("it sees the reset", lambda: "reset" in client.output())
    bed.start()
    finish(client, "the client")
    peer.result()


def listeners_outlive_the_daemon():
    """Whoever waits on a listener - accept, poll, epoll, forked workers - has it again with the next daemon."""
    blocking = f"""
import socket
l = socket.create_server(("{DUT_ADDR}", 7014))
while True:
    l.accept()[0].sendall(b"a")
"""
    watching = """
import select, socket
ls = {s.fileno(): s for s in (socket.create_server(("0.0.0.0", p)) for p in (7015, 7016))}
WAY
while True:
    for fd, _ in w.poll():
        ls[fd].setblocking(False)
        try:
            ls[fd].accept()[0].sendall(b"a")
        except BlockingIOError:
            pass
"""
    ways = {"epoll": "w = select.epoll()\n[w.register(fd, select.EPOLLIN) for fd in ls]",
            "poll": "w = select.poll()\n[w.register(fd, select.POLLIN) for fd in ls]"}
    forked = f"""
import os, socket, time
l = socket.create_server(("{DUT_ADDR}", 7019))
for i in range(2):
    if os.fork() == 0:
        while True:
            l.accept()[0].sendall(b"a")
while True:
    time.sleep(9)
"""
    servers = [python(blocking, "outlive-accept.log"), python(forked, "outlive-fork.log")]
    for (name, way), shift in zip(ways.items(), (0, 2)):
        code = watching.replace("WAY", way).replace("7015", str(7015 + shift)).replace("7016", str(7016 + shift))
        servers.append(python(code, f"outlive-{name}.log"))
    ports = range(7014, 7020)
    for port in ports:
        wait_for(f"{port} listens", lambda port=port: bed.listens(port))

    def asked(port):
        try:
            with tcp(DUT_ADDR, port, timeout=2) as s:
                return s.recv(1) == b"a"
        except OSError:
            return False

    for port in ports:
        expect(bed.peer(asked, port), f"an answer of {port} before")
    for round_ in range(2):
        bed.stop(signals.SIGKILL if round_ == 0 else signals.SIGTERM)
        time.sleep(0.3)
        before = [ticks(p.pid)[1] for p in servers]
        time.sleep(1)
        used = [ticks(p.pid)[1] - b for p, b in zip(servers, before)]
        expect(max(used) <= 5, f"ticks used in a second without a daemon: {used}")
        local = subprocess.run(netns(bed.dut) + [PYTHON, "-c", "import socket\ns = socket.create_connection(('127.0.0.1', 7015))\n"
                                                 "assert s.recv(1) == b'a'\n"], timeout=20)
        expect_equal(local.returncode, 0, "the kernel's side without a daemon")
        bed.start()
        for port in ports:
            wait_for(f"{port} listens again", lambda port=port: bed.listens(port))
            expect(bed.peer(asked, port), f"an answer of {port} with daemon {round_ + 2}")
    for p in servers:
        expect(p.poll() is None, "a server ended: " + p.output()[-500:])
        p.stop(signals.SIGKILL)


TESTS = [(f.__name__, f) for f in (
    serve_with_selectors, connect_from_python, fork_and_threads, curl_gets_a_file, nginx_with_workers,
    redis_saves_while_it_serves, ends_in_order, policy_keeps_a_port_for_the_kernel, blocked_programs_sleep,
    busy_calls_make_no_system_call, blocked_calls_wake_at_once, refuses_what_it_cannot_reach, without_a_daemon,
    daemon_dies, listeners_outlive_the_daemon)]


def main():
    global bed
    need_root()
    bed = Bed("af_packet").up()
    bed.start()
    code = run(TESTS, recover=lambda: None if bed.daemon and bed.daemon.poll() is None else bed.start())
    if code:
        bed.tell()
    bed.down()
    return code


if __name__ == "__main__":
    sys.exit(main())
