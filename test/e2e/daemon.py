#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The life of mangod: start, refusals, signals, idleness, the ways to set it up. daemon.py [WORD...]"""
import glob
import os
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import (DUT_ADDR, Failure, Process, Skip, expect, expect_equal, netns, recv_all, tcp, tool,  # noqa: E402
                     wait_for)

DRIVER = os.environ.get("MANGO_E2E_DRIVER", "af_packet")
PORT = 7
OTHER_ADDR = "10.77.0.3"
SLOW = os.environ.get("MANGO_VARIANT", "release") != "release"  # sanitizers: no bounds on time
HUGEPAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

bed = None


# ---- small things --------------------------------------------------------------------------------------


def shm_files():
    return set(os.listdir("/dev/shm"))


def links():
    """Interfaces of the daemon's namespace, without their counters."""
    done = subprocess.run(netns(bed.dut) + ["ip", "-o", "link"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def one_line(text):
    lines = text.strip().splitlines()
    expect(len(lines) == 1, "more or less than one line:\n" + text)
    return lines[0]


def expect_refused(changes, *words, wrap=(), config=None):
    """mangod does not start, says why in one line that has these words, and leaves nothing."""
    path = config or bed.write_config(changes)
    before = links()
    done = bed.mangod("-c", path, wrap=wrap)
    expect_equal(done.returncode, 1, "exit code; " + done.stderr)
    errors = [x for x in done.stderr.splitlines() if not re.match(r"(info|warn|debug) ", x)]
    line = one_line("\n".join(errors))
    for word in words:
        expect(word in line, f"no {word!r} in {line!r}")
    expect_equal(links(), before, "interfaces")
    return line


def echo_once(address, n=5000):
    data = os.urandom(n)
    with tcp(address, PORT) as s:
        s.sendall(data)
        return recv_all(s, n) == data


def echo_many(address, n):
    """n connections at once, each a message there and back, of different lengths."""
    conns = [tcp(address, PORT) for _ in range(n)]
    for i, s in enumerate(conns):
        s.sendall(bytes([i % 256]) * (i * 37 % 3000 + 1))
    for i, s in enumerate(conns):
        expect(recv_all(s, i * 37 % 3000 + 1) == bytes([i % 256]) * (i * 37 % 3000 + 1), f"connection {i}")
    for s in conns:
        s.close()
    return True


def serve(address=None):
    server = bed.app("echo_server", "--port", str(PORT), address=address)
    wait_for("the echo server listens", lambda: bed.listens(PORT, address))
    return server


def expect_serves(conns=50, address=None, dut_addr=DUT_ADDR):
    server = serve(address)
    try:
        expect(bed.peer(echo_once, dut_addr), "the echo is wrong")
        expect(bed.peer(echo_many, dut_addr, conns), "echoes over several connections")
    finally:
        server.stop()


def with_daemon(changes, check):
    """Starts a daemon, checks, and expects it to end well."""
    bed.start(changes)
    try:
        check()
    finally:
        code = bed.stop()
    expect_equal(code, 0, "mangod's exit code")


def expect_clean():
    """Nothing of a daemon is left."""
    run = bed.path("run")
    left = [os.path.join(d, f) for d, _, files in os.walk(run) for f in files] if os.path.isdir(run) else []
    expect_equal(left, [], "files left in runtime_dir")


# ---- the command line, wrong files ---------------------------------------------------------------------


def test_version():
    done = bed.mangod("--version")
    expect_equal(done.returncode, 0, "exit code")
    expect(re.fullmatch(r"mangod \d+\.\d+\.\d+.*", one_line(done.stdout)), done.stdout)
    expect_equal(done.stderr, "", "standard error")


def test_help():
    done = bed.mangod("--help")
    expect_equal(done.returncode, 0, "exit code")
    for word in ("-c", "-t", "--version", "--help"):
        expect(word in done.stdout, f"{word} is not explained")


def test_usage():
    for words in (["--frobnicate"], ["-c"], ["stray"]):
        done = bed.mangod(*words)
        expect_equal(done.returncode, 2, f"exit code of {words}")
        expect(done.stderr.strip() != "", f"{words}: no word about it")


def test_check_good():
    done = bed.mangod("-c", bed.write_config(), "-t")
    expect_equal(done.returncode, 0, "exit code; " + done.stderr)
    expect(not os.path.exists(bed.path("run")), "-t made the runtime folder")
    for name in ("mangod.yaml", "testbed.yaml"):
        done = bed.mangod("-t", "-c", os.path.join(harness.SRC, "config", name))
        expect_equal(done.returncode, 0, name + ": " + done.stderr)


# text, line, key, found, allowed: what the one message must say
WRONG_FILES = [
    ("tcp:\n  rto_min_ms: abc\n", 2, "tcp.rto_min_ms", '"abc"', "1..60000 (milliseconds)"),
    ("tcp:\n  nagle: true\n  rto_min_ms: 0\n", 3, "tcp.rto_min_ms", '"0"', "1..60000 (milliseconds)"),
    ("tcp:\n  rto_mim_ms: 5\n", 2, "tcp.rto_mim_ms", "an unknown key", "did you mean tcp.rto_min_ms?"),
    ("log: {level: loud}\n", 1, "log.level", '"loud"', "error, warn, info or debug"),
    ("instance: a/b\n", 1, "instance", '"a/b"', "letters, digits, . _ and -, 1..31 characters"),
    ("ports:\n  - name: a\n    interface: e\n    driver: e1000\n", 4, "ports[0].driver", '"e1000"',
     "af_packet, af_xdp, packet_gso or tap"),
    ("ports:\n- {name: a, interface: e, addresses: [10.0.0.300/24]}\n", 2, "ports[0].addresses[0]",
     '"10.0.0.300/24"', "IP address and prefix length such as 192.0.2.10/24"),
    ("ports: [{name: a}]\n", 1, "ports[0]", "no device", "exactly one of interface, pci and vdev"),
    ("routes: [{to: 0.0.0.0/0, via: 10.0.0.1}]\n", 1, "routes[0]", "10.0.0.1, which is in no subnet of any port",
     "an address in a subnet of ports[].addresses"),
    ("tcp: {rto_min_ms: 5000, rto_max_ms: 3000}\n", 1, "tcp.rto_min_ms", "5000",
     "at most tcp.rto_max_ms, which is 3000"),
    ("tcp:\n  nagle: true\n  nagle: false\n", 3, "tcp.nagle", "a second time (first in line 2)", "every key once"),
    ("ipc: {grpc: {listen: [nowhere]}}\n", 1, "ipc.grpc.listen[0]", '"nowhere"', "HOST:PORT or unix:/PATH"),
    ("tcp:\n\tnagle: true\n", 2, None, "a tab before the key", "spaces for indentation"),
    ("log: {level: info\n", 2, None, "text that is not YAML", "\"key: value\" lines, indented by spaces"),
    ("- a\n", 1, None, "a list", 'a section (indented "key: value" lines)'),
]


def test_wrong_files():
    before = links()
    for text, line, key, found, allowed in WRONG_FILES:
        path = bed.path("wrong.yaml")
        with open(path, "w") as f:
            f.write(text)
        for words in (["-c", path], ["-c", path, "-t"]):
            done = bed.mangod(*words)
            expect_equal(done.returncode, 2, f"exit code for {text!r}")
            expect_equal(done.stdout, "", "standard output")
            said = one_line(done.stderr)
            for word in (f"{path}:{line}:", f" {key}: " if key else "", "found " + found, "allowed: " + allowed):
                expect(word in said, f"no {word!r} in {said!r}")
    expect(not os.path.exists(bed.path("run")), "a wrong file started something")
    expect(not os.path.exists("/run/mango/mango/attach.sock"), "a wrong file started something")
    expect_equal(links(), before, "interfaces")


def test_unreadable_file():
    for path, word in (("/nonexistent.yaml", "No such file"), ("/", "Is a directory")):
        done = bed.mangod("-c", path)
        expect_equal(done.returncode, 2, "exit code")
        expect(word in one_line(done.stderr) and path in done.stderr, done.stderr)


# ---- refusals: cause and cure --------------------------------------------------------------------------


def port(**changes):
    config = bed.default_config()["ports"][0]
    config.update(changes)
    return {"ports": [config]}


def test_missing_interface():
    for driver in ("af_packet", "af_xdp"):
        expect_refused(port(interface="mg77", driver=driver), "mg77")
        expect_clean()


def test_wrong_device():
    expect_refused({"ports": [{"name": "p0", "vdev": "net_frobnicate0", "addresses": ["10.77.0.1/24"]}]},
                   "net_frobnicate0")
    expect_clean()


def test_no_memory():
    """Too little for its tables and rings: the cause, and the settings that ask for so much."""
    for limit_mib in (350, 450):
        line = expect_refused({"tcp": {"connections_max": 1000000}}, "Cannot allocate memory", "lower",
                              "tcp.connections_max", wrap=["prlimit", f"--as={limit_mib << 20}"])
        expect("slow path" in line, line)
        expect_clean()


def test_any_vdev():
    """A device that only DPDK knows: no name of ours for it, no descriptor to sleep on."""
    bed.start({"ports": [{"name": "p0", "vdev": "net_null0", "addresses": ["192.0.2.1/24"]}]})
    expect_equal(bed.ctl_json("health")["status"], "serving", "status")
    expect_equal(bed.stop(), 0, "exit code")
    expect_clean()


def test_grpc_port_busy():
    holder = Process(netns(bed.dut) + [sys.executable, "-c", "import socket, time; s = socket.socket(); "
                                       "s.bind(('127.0.0.1', 32847)); s.listen(1); print('ready', flush=True); "
                                       "time.sleep(60)"], bed.path("holder.log"))
    wait_for("the port is taken", lambda: "ready" in holder.output())
    try:
        expect_refused({}, "32847", "in use")
    finally:
        holder.stop(signal.SIGKILL)
    expect_clean()


def test_second_daemon():
    bed.start()
    try:
        line = expect_refused({"ipc": {"grpc": {"enabled": False}}}, bed.instance, "runs already")
        expect(str(bed.daemon.pid) in line, f"does not name the process {bed.daemon.pid}: {line}")
        expect_equal(bed.ctl("health").returncode, 0, "health of the first daemon")
    finally:
        expect_equal(bed.stop(), 0, "exit code")
    expect_clean()


def test_no_permission():
    open_dir = bed.path("nobody")  # a place that nobody may reach and write
    os.makedirs(open_dir, exist_ok=True)
    os.chmod(bed.dir, 0o755)
    os.chmod(open_dir, 0o777)
    path = bed.write_config({"runtime_dir": open_dir, "ipc": {"grpc": {"enabled": False}}})
    os.chmod(path, 0o644)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run(nobody + ["test", "-x", tool("mangod")], check=False).returncode != 0:
        raise Skip("the build folder is closed to other users")
    line = expect_refused(None, wrap=nobody, config=path)
    expect(re.search(r"permi|CAP_|root", line), "no cause or cure in: " + line)
    # A folder it may not write.
    expect_refused({"runtime_dir": "/run/mango-e2e-forbidden"}, "/run/mango-e2e-forbidden", wrap=nobody)
    shutil.rmtree(open_dir)


def test_stale_sockets():
    """kill -9 leaves sockets behind; the next daemon replaces them."""
    bed.start()
    bed.daemon.stop(signal.SIGKILL)
    bed.daemon = None
    left = bed.path("run") + "/" + bed.instance + "/attach.sock"
    expect(os.path.exists(left), "no stale socket to test with")
    with_daemon({}, lambda: expect_serves(5))
    expect_clean()


def test_file_in_the_way():
    """What is not a socket is not replaced."""
    folder = os.path.join(bed.path("run"), bed.instance)
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/attach.sock", "w") as f:
        f.write("mine")
    expect_refused({}, "attach.sock", "not a socket")
    with open(folder + "/attach.sock") as f:
        expect_equal(f.read(), "mine", "the file")
    shutil.rmtree(bed.path("run"))


def test_hugepages_demanded():
    """hugepages: on without any is a refusal that says so."""
    with open(HUGEPAGES) as f:
        if int(f.read()) != 0:
            raise Skip("this machine has huge pages in use")
    expect_refused({"memory": {"hugepages": "on"}}, "huge")
    expect_clean()


# ---- several, signals ----------------------------------------------------------------------------------


def test_side_by_side():
    """Two instances on one link, one application each; each sees only its own."""
    bed.start()
    other = dict(bed.default_config(), instance=bed.prefix + "-b", ipc={"grpc": {"enabled": False}})
    other["ports"] = port(addresses=[OTHER_ADDR + "/24"])["ports"]
    second = bed.launch(other, "second")
    address = bed.address(other["instance"])
    servers = [serve(), serve(address)]
    try:
        expect(bed.peer(echo_once, DUT_ADDR), "the first instance")
        expect(bed.peer(echo_once, OTHER_ADDR), "the second instance")
        expect(bed.ctl_json("health")["instance"] != bed.ctl_json("health", address=address)["instance"], "names")
        servers[1].stop()
        expect_equal(second.stop(), 0, "exit code of the second")
        expect(bed.peer(echo_once, DUT_ADDR), "the first instance, alone again")
    finally:
        for p in servers + [second]:
            p.stop()
        code = bed.stop()
    expect_equal(code, 0, "exit code of the first")
    expect_clean()


def hold_until_end(n):
    """Opens n connections and tells how each ended, and when."""
    conns = [tcp(DUT_ADDR, PORT, 30) for _ in range(n)]
    for s in conns:
        s.sendall(b"x")
        recv_all(s, 1)
    ends = []
    for s in conns:
        try:
            ends.append("fin" if s.recv(1) == b"" else "data")
        except ConnectionResetError:
            ends.append("reset")
    return ends


def ends_by(number):
    """A signal with connections open: they end within drain_ms, everything is removed, exit code 0."""
    before = shm_files()
    bed.start({"daemon": {"drain_ms": 1000}})
    server = serve()
    peer = bed.peer_start(hold_until_end, 20)
    wait_for("the connections are there", lambda: len(bed.connections()) == 20)
    start = time.monotonic()
    code = bed.stop(number)
    took = time.monotonic() - start
    expect_equal(code, 0, "exit code")
    expect(SLOW or took < 3, f"took {took:.1f} s with a drain time of 1 s")
    ends = peer.result(15)
    expect(len(ends) == 20 and "data" not in ends, f"the connections ended by {ends}")
    server.wait(5)
    expect_clean()
    expect_equal(shm_files() - before, set(), "shared memory left")


def test_sigterm():
    ends_by(signal.SIGTERM)


def test_sigint():
    ends_by(signal.SIGINT)


def test_sigterm_idle():
    bed.start()
    start = time.monotonic()
    expect_equal(bed.stop(), 0, "exit code")
    expect(SLOW or time.monotonic() - start < 2, "an idle daemon took its time")
    expect_clean()


def refused(address):
    try:
        tcp(address, PORT, 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_drain_finishes():
    """While draining: listeners are closed, a transfer under way is finished, then the daemon ends."""
    bed.start({"daemon": {"drain_ms": 10000}})
    agent = bed.agent()
    agent.ok(f"listen l {PORT} 8")

    def slow_transfer():
        with tcp(DUT_ADDR, PORT) as s:
            got = b""
            while piece := s.recv(4096):
                got += piece
        return len(got)

    peer = bed.peer_start(slow_transfer)
    agent.ok("accept l a")
    agent.ok("sendn a 1000")
    bed.daemon.signal(signal.SIGTERM)
    wait_for("the listener is closed", lambda: bed.peer(refused, DUT_ADDR), 3)
    expect(bed.daemon.poll() is None, "did not wait for the connection")
    agent.ok("sendn a 1000")
    agent.ok("close a")
    expect_equal(peer.result(), 2000, "bytes that the peer got")
    expect_equal(bed.daemon.wait(8), 0, "exit code")
    bed.daemon = None
    agent.stop()
    expect_clean()


def test_sigterm_twice():
    """Impatience: the second signal ends the drain."""
    bed.start({"daemon": {"drain_ms": 60000}})
    server = serve()
    peer = bed.peer_start(hold_until_end, 1)
    wait_for("the connection is there", lambda: len(bed.connections()) == 1)
    bed.daemon.signal(signal.SIGTERM)
    time.sleep(0.5)
    expect(bed.daemon.poll() is None, "did not drain")
    expect_equal(bed.stop(), 0, "exit code")
    peer.result()
    server.wait(5)
    expect_clean()


# ---- the ways to set it up -----------------------------------------------------------------------------


def test_without_hugepages():
    with_daemon({"memory": {"hugepages": "off"}}, lambda: expect_serves(20))


def test_with_hugepages():
    with open(HUGEPAGES) as f:
        before = f.read().strip()
    try:
        with open(HUGEPAGES, "w") as f:
            f.write("160")
        with open(HUGEPAGES) as f:
            got = int(f.read())
    except OSError as e:
        raise Skip(f"huge pages cannot be allocated: {e}")
    try:
        if got < 160:
            raise Skip(f"memory is too fragmented: {got} of 160 huge pages")

        def check():
            with open("/proc/meminfo") as f:
                info = dict(line.split(":", 1) for line in f)
            free = int(info["HugePages_Free"])
            expect(free < got, "no huge page is in use")
            expect_serves(20)

        with_daemon({"memory": {"hugepages": "on"}}, check)
        with_daemon({"memory": {"hugepages": "auto"}}, check)
    finally:
        with open(HUGEPAGES, "w") as f:
            f.write(before)
    expect_equal([x for x in glob.glob("/dev/hugepages/*") if bed.prefix in x or "rte" in x], [], "files left")


def test_no_ports():
    """Without ports it answers control requests and moves nothing."""
    with_daemon({"ports": []}, lambda: expect_equal(bed.ctl("health").returncode, 0, "health"))


def test_slow_path_own():
    with_daemon({"slowpath": {"thread": "own"}}, expect_serves)


def test_slow_path_inline():
    with_daemon({"slowpath": {"thread": "inline"}}, expect_serves)


def test_two_workers():
    for thread in ("own", "inline"):
        with_daemon({"fastpath": {"workers": 2}, "slowpath": {"thread": thread}}, two_workers)


def two_workers():
    """Flows of both workers, whatever queue their packets come by."""
    server = serve()
    peer = bed.peer_start(hold_some, 64)
    try:
        wait_for("64 connections", lambda: len(bed.connections()) == 64)
        workers = {c["worker"] for c in bed.connections()}
        expect_equal(workers, {0, 1}, "workers that have connections")
        expect(bed.peer(echo_many, DUT_ADDR, 200), "echoes")
    finally:
        peer.result()
        server.stop()


def hold_some(n):
    conns = [tcp(DUT_ADDR, PORT) for _ in range(n)]
    time.sleep(2)
    for i in range(5):
        for s in conns:
            s.sendall(b"y" * 100)
        for s in conns:
            recv_all(s, 100)
    for s in conns:
        s.close()
    return True


def echo_bulk(n):
    """n bytes there and back over one connection, both directions at the same time."""
    import threading
    data = os.urandom(1 << 16) * (n >> 16)
    with tcp(DUT_ADDR, PORT) as s:
        sender = threading.Thread(target=s.sendall, args=(data,))
        sender.start()
        back = recv_all(s, len(data))
        sender.join()
        mss = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    return back == data, mss


def with_mtu(mtu):
    """A testbed of its own: bulk both ways, and the segment size that the MTU gives."""
    global bed
    old, bed = bed, harness.Bed(DRIVER, mtu=mtu, prefix=f"mgm{os.getpid()}")
    bed.up()
    try:
        bed.start()
        server = serve()
        right, mss = bed.peer(echo_bulk, 4 << 20)
        expect(right, "the echo is wrong")
        expect_equal(mss, mtu - 40 - 12, "the peer's segment size")
        conn_mss = mss
        expect(bed.peer(echo_many, DUT_ADDR, 20), "echoes")
        server.stop()
        expect_equal(bed.stop(), 0, "exit code")
        return conn_mss
    finally:
        bed.down()
        bed = old


def test_mtu_576():
    with_mtu(576)


def test_mtu_9000():
    with_mtu(9000)


def segmentation(bed_):
    done = subprocess.run(netns(bed_.dut) + ["ethtool", "-k", "mg0"], stdout=subprocess.PIPE, text=True, check=True)
    return "tcp-segmentation-offload: on" in done.stdout


def test_large_segments():
    """packet_gso, over a link that leaves frames whole: they are larger than the MTU, both ways, and right."""
    global bed
    old, bed = bed, harness.Bed("packet_gso", prefix=f"mgl{os.getpid()}", offloads=True)
    bed.up()
    try:
        bed.start()
        server = serve()
        right, _ = bed.peer(echo_bulk, 8 << 20)
        expect(right, "the echo is wrong")
        stats = bed.stats()
        expect(stats["worker0.tx_segments"] > 2 * stats["worker0.tx_frames"], "frames of one segment")
        expect(stats["worker0.worker_rx_bytes"] > 2000 * stats["worker0.worker_rx_packets"], "small frames came in")
        server.stop()
        expect_equal(bed.stop(), 0, "exit code")
    finally:
        bed.down()
        bed = old


def test_offloads_on():
    """ports[].offloads: on while mangod runs, as before afterwards; the data is right in between."""
    global bed
    old, bed = bed, harness.Bed("packet_gso", prefix=f"mgo{os.getpid()}")
    bed.up()
    try:
        expect(not segmentation(bed), "the testbed has it on already")
        bed.start({"ports": [dict(bed.default_config()["ports"][0], offloads="on")]})
        expect(segmentation(bed), "still off")
        server = serve()
        right, _ = bed.peer(echo_bulk, 4 << 20)
        expect(right, "the echo is wrong")
        server.stop()
        expect_equal(bed.stop(), 0, "exit code")
        expect(not segmentation(bed), "left on")
    finally:
        bed.down()
        bed = old


# ---- idleness ------------------------------------------------------------------------------------------


def run_ns(pid):
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path) as f:
            total += int(f.read().split()[0])
    return total


def test_idle():
    """An idle daemon uses less than 1 % of a core: with nobody there, and with an application and connections."""
    for changes in ({"slowpath": {"thread": "inline"}}, {"fastpath": {"workers": 2}}):
        bed.start(dict(changes, daemon={"drain_ms": 100}))
        expect_idle(3, f"alone, {changes}")
        server = serve()
        peer = bed.peer_start(hold_until_end, 10)
        wait_for("the connections are there", lambda: len(bed.connections()) == 10)
        expect_idle(5, f"with 10 connections, {changes}")
        expect_equal(bed.stop(), 0, "exit code")
        peer.result()
        server.stop()


def expect_idle(seconds, what):
    time.sleep(0.5)  # what just happened is over
    start = run_ns(bed.daemon.pid)
    time.sleep(seconds)
    share = (run_ns(bed.daemon.pid) - start) / (seconds * 1e9)
    expect(share < 0.01, f"{what}: {share * 100:.2f} % of a core")


def stamped(s):
    """(frame, when the kernel saw it in ns) of a packet socket with SO_TIMESTAMPNS."""
    frame, control, _, _ = s.recvmsg(2048, 64)
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == 35:
            sec, nsec = struct.unpack("qq", data[:16])
            return frame, sec * 10**9 + nsec
    raise Failure("no time stamp")


def answer_times(n, idle_s, ask, is_question, is_answer):
    """How long after a question left the peer's interface its answer came in there, for n questions.

    Both times are taken by the kernel at the interface, so the peer's own waking up is not in them; the way
    through the veth pair, twice, is.
    """
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    tap.bind(("mg1", 0))
    tap.setsockopt(socket.SOL_SOCKET, 35, 1)
    tap.settimeout(3)
    times = []
    for i in range(n):
        time.sleep(idle_s)
        ask(i)
        asked = None
        while True:
            frame, at = stamped(tap)
            if is_question(frame):
                asked = at
            elif asked is not None and is_answer(frame):
                times.append((at - asked) / 1000)
                break
    return times


def icmp_times(n, idle_s):
    def checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        total = (total & 0xffff) + (total >> 16)
        return ~(total + (total >> 16)) & 0xffff

    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    def ask(i):
        head = struct.pack("!BBHHH", 8, 0, 0, 77, i) + bytes(32)
        raw.sendto(head[:2] + struct.pack("!H", checksum(head)) + head[4:], (DUT_ADDR, 0))

    ask(0)  # the neighbours find each other first
    time.sleep(0.2)
    return answer_times(n, idle_s, ask, lambda f: f[23:24] == b"\x01" and f[34] == 8,
                        lambda f: f[23:24] == b"\x01" and f[34] == 0)


def refusal_times(n, idle_s):
    """A SYN to a port where nobody listens, and its RST."""
    def ask(_):
        with socket.socket() as s:
            s.connect_ex((DUT_ADDR, 9999))

    def flags(f):
        return f[47] if f[12:14] == b"\x08\x00" and f[23] == 6 else 0

    return answer_times(n, idle_s, ask, lambda f: flags(f) == 2, lambda f: flags(f) & 4)


def data_times(n, idle_s):
    """A byte on an idle connection, and its echo by an application that was asleep as well."""
    with tcp(DUT_ADDR, PORT) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask(_):
            s.sendall(b"z")
            recv_all(s, 1)

        def tcp_bytes(f):
            return int.from_bytes(f[16:18], "big") - 20 - (f[46] >> 4) * 4 if f[23] == 6 else 0

        peer = bytes([10, 77, 0, 2])
        return answer_times(n, idle_s, ask, lambda f: tcp_bytes(f) == 1 and f[26:30] == peer,
                            lambda f: tcp_bytes(f) == 1 and f[26:30] != peer)


WAKE_SANE_US = 35  # by a pipe, from an idle core; 20 to 30 on a quiet virtual machine


def wake_up_us(n=30):
    """How long this machine takes to wake a sleeping process by a pipe, median: what no daemon can beat."""
    r, w = os.pipe()
    back_r, back_w = os.pipe()
    child = os.fork()
    if child == 0:
        for _ in range(n):
            os.read(r, 1)
            os.write(back_w, struct.pack("d", time.monotonic()))
        os._exit(0)
    times = []
    for _ in range(n):
        time.sleep(0.1)
        start = time.monotonic()
        os.write(w, b"x")
        times.append((struct.unpack("d", os.read(back_r, 8))[0] - start) * 1e6)
    os.waitpid(child, 0)
    for fd in (r, w, back_r, back_w):
        os.close(fd)
    return statistics.median(times)


SANE_ROUNDS = 3
ROUNDS_MAX = 8


def judged_median(function, limit_us, wakes):
    """The median of 40 first packets, and what it may be at most: of the best round.

    A machine that is itself slow to wake a process, or busy with others' work, is given what it takes more than
    WAKE_SANE_US, for each of the wake-ups on the way there and back; measured in the same round, so that nothing
    has to be skipped. Where waking is sane the limit is the limit, and three such rounds decide; a round in which it
    was not says little when it fails, and is followed by another.
    """
    best, sane = None, 0
    for _ in range(ROUNDS_MAX):
        times = bed.peer(function, 40, 0.1)
        late_us = max(0, wake_up_us(20) - WAKE_SANE_US)
        allowed = limit_us + 2 * wakes * late_us
        sane += late_us == 0
        if best is None or statistics.median(times) / allowed < statistics.median(best[0]) / best[1]:
            best = times, allowed
        if statistics.median(best[0]) < best[1] or sane == SANE_ROUNDS:
            break
    return best


def test_first_packet():
    """The first packet after idle is answered within 100 us (the median; a noisy machine has its tail)."""
    bed.start({"slowpath": {"thread": "inline"}})
    server = serve()
    texts = []
    try:
        for what, function, limit_us, wakes in (("ICMP echo", icmp_times, 100, 1), ("RST", refusal_times, 100, 1),
                                                ("data echoed by an application", data_times, 200, 2)):
            times, allowed = judged_median(function, limit_us, wakes)
            median = statistics.median(times)
            texts.append(f"{what}: median {median:.0f} us, {min(times):.0f}..{max(times):.0f}, allowed {allowed:.0f}")
            expect(median < allowed, texts[-1])
    finally:
        server.stop()
        bed.stop()
    print("# " + "; ".join(texts))


def hold_many(n, answered, until):
    """n connections, each once there and back, held until the pipe is closed; how many were answered."""
    os.close(until[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, n + 100))
    conns = [tcp(DUT_ADDR, PORT) for _ in range(n)]
    for s in conns:
        s.sendall(b"x" * 100)
    good = sum(len(recv_all(s, 100)) == 100 for s in conns)
    os.write(answered[1], b"x")
    os.read(until[0], 1)
    return good


def test_ten_thousand():
    """The default configuration carries 10,000 connections of one application."""
    n = 10000
    bed.start()
    server = serve()
    answered, until = os.pipe(), os.pipe()
    try:
        peer = bed.peer_start(hold_many, n, answered, until)
        expect(select.select([answered[0]], [], [], 120)[0], f"{n} connections are not answered in two minutes")
        session = bed.ctl_json("sessions")["sessions"][0]
        os.close(until[1])
        expect_equal(peer.result(30), n, "connections with an answer")
        expect_equal(session["connections"], n, "connections of the application")
        stats = bed.stats()
        expect_equal(stats["slow_no_payload"], 0, "connections refused for want of memory")
    finally:
        server.stop()
        bed.stop()
    print(f"# {session['resident_bytes'] >> 20} MiB of {session['region_bytes'] >> 20} are in use")


def recover():
    bed.tell()
    bed.end_all()


def main():
    global bed
    harness.need_root()
    bed = harness.Bed(DRIVER).up()
    names = ["version", "help", "usage", "check_good", "wrong_files", "unreadable_file", "missing_interface",
             "wrong_device", "no_memory", "any_vdev", "grpc_port_busy", "second_daemon", "no_permission", "stale_sockets", "file_in_the_way",
             "hugepages_demanded", "side_by_side", "sigterm", "sigint", "sigterm_idle", "drain_finishes",
             "sigterm_twice", "without_hugepages", "with_hugepages", "no_ports", "slow_path_own", "slow_path_inline",
             "two_workers", "ten_thousand", "mtu_576", "mtu_9000", "large_segments",
             "offloads_on"]
    if not SLOW:
        names += ["idle", "first_packet"]
    return harness.run([(n.replace("_", " "), globals()["test_" + n]) for n in names], recover=recover)


if __name__ == "__main__":
    sys.exit(main())
