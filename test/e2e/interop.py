#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mangod against the kernel's TCP in its many moods, over bad paths: interop.py [--long] [WORD...]

A peer's settings (SACK, timestamps, window scaling, ECN, congestion control), both families, MTUs from 576 to 9000,
and a relay in between that delays, loses, reorders, doubles, damages and squeezes. Every case moves bulk both ways on
one connection and compares digests. The peer's connection tracking judges each packet meanwhile: what it calls invalid
is counted, and has to be nothing.
"""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import traffic  # noqa: E402
from harness import DUT_ADDR, DUT_ADDR6, Failure, Skip, expect, expect_equal, netns, tcp, wait_for  # noqa: E402

PORT = traffic.PORT
MIB = 1 << 20
LONG = "--long" in sys.argv
ALLOWED = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"

bed = None
tracked = False

DEFAULTS = {"tcp_sack": 1, "tcp_timestamps": 1, "tcp_window_scaling": 1, "tcp_ecn": 2, "tcp_dsack": 1,
            "tcp_congestion_control": "cubic", "tcp_slow_start_after_idle": 1}
# name: (the peer's settings, the relay's)
PEERS = {
    "as it comes": {},
    "no SACK": {"tcp_sack": 0},
    "no timestamps": {"tcp_timestamps": 0},
    "no window scaling": {"tcp_window_scaling": 0},
    "nothing": {"tcp_sack": 0, "tcp_timestamps": 0, "tcp_window_scaling": 0},
    "ECN": {"tcp_ecn": 1},
    "no ECN": {"tcp_ecn": 0},
    "reno": {"tcp_congestion_control": "reno"},
    "bbr": {"tcp_congestion_control": "bbr"},
}
PATHS = {
    "a clean wire": [],
    "delay and jitter": ["both:delay_us=5000", "both:jitter_us=3000"],
    "loss": ["both:delay_us=2000", "both:loss_ppm=10000"],
    "bursts": ["both:delay_us=2000", "both:burst_ppm=1000", "both:burst_len=4"],
    "reordering": ["both:delay_us=2000", "both:reorder_ppm=20000", "both:reorder_us=1500"],
    "duplication": ["both:delay_us=1000", "both:dup_ppm=50000"],
    "a bottleneck": ["both:delay_us=5000", "both:rate_kbit=50000", "both:queue_bytes=60000"],
    "marks": ["both:delay_us=5000", "both:rate_kbit=50000", "both:queue_bytes=200000", "both:ce_bytes=30000"],
}
DAMAGE = ["both:delay_us=1000", "both:corrupt_ppm=5000"]
EVERYTHING = ["both:delay_us=5000", "both:jitter_us=2000", "both:loss_ppm=5000", "both:reorder_ppm=10000",
              "both:reorder_us=3000", "both:dup_ppm=10000", "both:rate_kbit=100000", "both:queue_bytes=200000"]


# ---- the peer's kernel ---------------------------------------------------------------------------


def open_to_all():
    """Namespaces may choose only what the host's list names; it is put back at the end."""
    with open(ALLOWED) as f:
        was = f.read().strip()
    with open(ALLOWED, "w") as f:
        f.write(was + " reno cubic bbr")
    return was


def close_again(was):
    with open(ALLOWED, "w") as f:
        f.write(was)


def sysctl(settings):
    values = {**DEFAULTS, **settings}
    subprocess.run(netns(bed.peer_ns) + ["sysctl", "-qw", *[f"net.ipv4.{k}={v}" for k, v in values.items()]],
                   check=True)


def track():
    """Counts what the peer's connection tracking finds invalid; False: this kernel has none."""
    rules = """table inet mango {
        counter bad { }
        chain in {
            type filter hook input priority 0
            ct state invalid counter name bad
        }
    }
    """
    return subprocess.run(netns(bed.peer_ns) + ["nft", "-f", "-"], input=rules, text=True,
                          stderr=subprocess.PIPE).returncode == 0


def invalid():
    done = subprocess.run(netns(bed.peer_ns) + ["nft", "-j", "list", "counters"], stdout=subprocess.PIPE, check=True)
    return sum(x["counter"]["packets"] for x in json.loads(done.stdout)["nftables"] if "counter" in x)


def no_invalid(before):
    if tracked:
        expect_equal(invalid() - before, 0, "packets that the peer's connection tracking finds invalid")


# ---- cases -----------------------------------------------------------------------------------------


def exchange(nbytes, addr, seconds=60):
    expect(bed.peer(traffic.both_ways, nbytes, addr, seconds=seconds), "what came back is not what was sent")


def case(peer, path, nbytes, addr=DUT_ADDR, judge=True):
    """One exchange with this peer over this path."""
    sysctl(peer)
    bed.relay.clear()
    before = invalid() if tracked and judge else 0
    if path:
        bed.relay.set(*path)
    exchange(nbytes, addr, 120)
    bed.relay.clear()
    traffic.settled()
    if judge:
        no_invalid(before)


def both_families(peer, path, nbytes, judge=True):
    for addr in (DUT_ADDR, DUT_ADDR6):
        case(peer, path, nbytes, addr, judge)


def restart(mtu):
    """Another MTU on every interface of the way; mangod reads it at its start."""
    traffic.stop_server()
    if bed.daemon:
        bed.stop()
    for ns, names in ((bed.dut, ["mg0"]), (bed.relay_ns, ["ra", "rb"]), (bed.peer_ns, ["mg1"])):
        for name in names:
            subprocess.run(["ip", "-n", ns, "link", "set", name, "mtu", str(mtu)], check=True)
    if mtu >= 1280:  # the kernel forgets the address below IPv6's least
        subprocess.run(["ip", "-n", bed.peer_ns, "addr", "replace", harness.PEER_ADDR6 + "/64", "dev", "mg1", "nodad"],
                       check=True)
    bed.mtu = mtu
    ports = bed.default_config()["ports"]
    if mtu < 1280:
        ports[0]["addresses"] = [DUT_ADDR + "/24"]
    bed.start({"ports": ports})
    traffic.start_echo("--bind", "::")


def test_mtu(mtu):
    restart(mtu)
    try:
        case({}, [], 2 * MIB)
        case({}, PATHS["loss"], MIB // 2)
        if mtu >= 1280:
            case({}, [], 2 * MIB, DUT_ADDR6)
    finally:
        restart(1500)


def test_smaller_mtu_on_the_way(icmp):
    """A link of 1200 (IPv4) bytes in the middle, with ICMP and as a black hole."""
    bed.relay.clear()
    sysctl({"tcp_mtu_probing": 1})
    try:
        bed.relay.set("both:delay_us=1000", "both:mtu=1400", f"both:icmp={icmp}")
        exchange(MIB // 2, DUT_ADDR, 60)
        if icmp:
            exchange(MIB // 2, DUT_ADDR6, 60)
        expect(sum(d["too_big"] for d in bed.relay.stats().values()) > 0, "nothing met the small link")
    finally:
        bed.relay.clear()
        subprocess.run(netns(bed.peer_ns) + ["ip", "route", "flush", "cache"], check=False)
        subprocess.run(netns(bed.peer_ns) + ["sysctl", "-qw", "net.ipv4.tcp_mtu_probing=0"], check=True)


def test_damage():
    """Checksums find it; connection tracking finds damaged packets invalid, too: they are not judged here."""
    both_families({}, DAMAGE, 4 * MIB if LONG else MIB, judge=False)
    expect(sum(d["corrupted"] for d in bed.relay.stats().values()) > 0, "nothing was damaged")


def test_marks():
    """With ECN on both sides the bottleneck marks, and hardly loses."""
    bed.relay.reset()
    case({"tcp_ecn": 1}, PATHS["marks"], 4 * MIB)
    expect(sum(d["ce_marked"] for d in bed.relay.stats().values()) > 0, "nothing was marked")


def test_many(n, path):
    sysctl({})
    bed.relay.clear()
    before = invalid() if tracked else 0
    bed.relay.set(*path)
    expect(bed.peer(traffic.many_at_once, n, seconds=120), "many connections")
    bed.relay.clear()
    traffic.settled()
    no_invalid(before)


def idle(seconds, nbytes, addr):
    """Both ways, silence, both ways again on the same connection."""
    data = traffic.stream(5, nbytes)
    with tcp(addr, PORT, timeout=60) as s:
        for turn in range(2):
            pid = os.fork()
            if pid == 0:
                s.sendall(data)
                os._exit(0)
            if harness.recv_all(s, nbytes) != data:
                return False
            os.waitpid(pid, 0)
            if turn == 0:
                time.sleep(seconds)
    return True


def test_long_idle(seconds):
    """Buffers that grew have shrunk meanwhile, and the connection goes on."""
    sysctl({})
    bed.relay.clear()
    before = invalid() if tracked else 0
    bed.relay.set("both:delay_us=10000")
    was = bed.stats()
    expect(bed.peer(idle, seconds, 8 * MIB, DUT_ADDR, seconds=seconds + 60), "after the silence")
    now = bed.stats()
    total = {k: sum(v for name, v in s.items() if name.endswith(k)) for s in [now] for k in ("rings_grown", "rings_shrunk")}
    old = {k: sum(v for name, v in was.items() if name.endswith(k)) for k in total}
    expect(total["rings_grown"] > old["rings_grown"], "buffers grew")
    expect(total["rings_shrunk"] > old["rings_shrunk"], "buffers shrank")
    bed.relay.clear()
    traffic.settled()
    no_invalid(before)


def short_tests():
    """Every value of everything once."""
    yield "everything at once", lambda: both_families({}, EVERYTHING, MIB)
    for name, peer in PEERS.items():
        yield f"peer with {name}", lambda peer=peer: (case(peer, [], 4 * MIB), case(peer, PATHS["loss"], MIB, DUT_ADDR6))
    for name, path in PATHS.items():
        if name != "marks":
            yield f"path with {name}", lambda path=path: both_families({}, path, MIB)
    yield "marks", test_marks
    yield "damage", test_damage
    yield "a smaller MTU on the way, told", lambda: test_smaller_mtu_on_the_way(1)
    yield "a hundred connections over a bad path", lambda: test_many(100, EVERYTHING)
    yield "idle, and on", lambda: test_long_idle(7)
    for mtu in (576, 9000):
        yield f"MTU {mtu}", lambda mtu=mtu: test_mtu(mtu)


def long_tests():
    """Every peer over every path, in both families, and longer."""
    for name, peer in PEERS.items():
        for where, path in PATHS.items():
            yield f"peer with {name}, path with {where}", lambda peer=peer, path=path: both_families(peer, path, 4 * MIB)
    yield from short_tests()
    for mtu in (600, 1280, 1492, 4000):
        yield f"MTU {mtu}", lambda mtu=mtu: test_mtu(mtu)
    yield "a smaller MTU on the way, a black hole", lambda: test_smaller_mtu_on_the_way(0)
    yield "2,000 connections over a bad path", lambda: test_many(2000, EVERYTHING)
    yield "idle for two minutes, and on", lambda: test_long_idle(120)


def ends_well():
    traffic.stop_server()
    expect(bed.stop() == 0, "mangod's exit code")


def recover():
    bed.tell()
    for p in list(harness.Process.alive):
        if p is not bed.relay.process and p.poll() is None:
            p.popen.kill()
            p.popen.wait()
    bed.daemon = None
    traffic.server = None
    restart(1500)


def main():
    global bed, tracked
    harness.need_root()
    bed = traffic.bed = harness.Bed(os.environ.get("MANGO_E2E_DRIVER", "af_packet"), mtu=9000, relay=True,
                                    config={"tcp": {"ecn": "on"}}).up()
    was = open_to_all()
    try:
        tracked = track()
        if not tracked:
            print("# no connection tracking here: validity is not judged", flush=True)
        restart(1500)
        tests = list(long_tests() if LONG else short_tests()) + [("ends well", ends_well)]
        return harness.run(tests, sys.argv[1:], recover)
    finally:
        close_again(was)


if __name__ == "__main__":
    sys.exit(main())
