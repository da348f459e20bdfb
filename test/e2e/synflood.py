#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A flood of SYNs from nowhere beside honest traffic: synflood.py [WORD...]

MANGO_E2E_FLOOD says how many SYNs there are (100000; the long form: 1000000), MANGO_E2E_FLOOD_RATE how many a second.
"""
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import DUT_ADDR, PEER_ADDR, Process, expect, expect_equal, netns, recv_all, tcp, tool, wait_for  # noqa: E402

PORT = 7
EMBRYOS = 1024
FLOOD = int(os.environ.get("MANGO_E2E_FLOOD", "100000"))
RATE = int(os.environ.get("MANGO_E2E_FLOOD_RATE", "25000"))

bed = None


def rss_mib():
    with open(f"/proc/{bed.daemon.popen.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


def ask(n):
    """Connects n times, and has each connection answered; the slowest in seconds."""
    worst = 0.0
    for i in range(n):
        start = time.monotonic()
        with tcp(DUT_ADDR, PORT, timeout=30) as s:
            s.sendall(b"honest")
            expect(recv_all(s, 6) == b"honest", "another answer")
        worst = max(worst, time.monotonic() - start)
    return worst


def flood(count):
    return Process(netns(bed.peer_ns) + [tool("synflood"), DUT_ADDR, str(PORT), str(count), str(RATE)],
                   bed.path("synflood.log"))


def test_flood():
    """Established connections go on, new ones get in by cookies, memory stays, and afterwards all is as before."""
    server = bed.app("echo_server", "--port", str(PORT))
    wait_for("the echo server listens", lambda: bed.listens(PORT))
    bed.peer(ask, 20)
    words = ["--mode", "echo", "--conns", "8", "--addr", DUT_ADDR, "--port", str(PORT), "--seconds", "600"]
    load = Process(netns(bed.peer_ns) + [tool("loadgen"), *words], bed.path("loadgen.log"))
    wait_for("the traffic flows", lambda: len(bed.connections()) >= 8)
    before, rss = bed.stats(), rss_mib()

    attacker = flood(FLOOD)
    time.sleep(0.5)
    slowest = bed.peer(ask, 10)
    most = 0
    while attacker.poll() is None:
        most = max(most, *(x["embryos"] for x in bed.listeners()))
        time.sleep(0.2)
    expect_equal(attacker.wait(), 0, "the attacker ended: " + attacker.output())
    grown = rss_mib() - rss
    after = bed.stats()

    def delta(name):
        return after["slow_" + name] - before["slow_" + name]

    time.sleep(1)
    expect(load.poll() is None, "the honest traffic ended: " + load.output())
    load.signal(signal.SIGTERM)
    expect_equal(load.wait(60), 0, "the honest traffic: " + load.output())
    row = json.loads(load.output().splitlines()[-1])
    print(f"# {FLOOD} SYNs, {delta('syn_in')} seen, {delta('cookies_sent')} cookies, at most {most} handshakes, "
          f"{grown:.1f} MiB more; honest: {row['requests']} requests, p99 {row['p99_us'] / 1e3:.1f} ms; "
          f"connecting took {slowest * 1e3:.1f} ms at most", flush=True)
    expect(delta("syn_in") > FLOOD * 0.5, f"only {delta('syn_in')} SYNs were seen")
    expect(delta("cookies_sent") > delta("syn_in") / 2, f"only {delta('cookies_sent')} cookies")
    expect(most <= EMBRYOS, f"{most} handshakes at a time")
    expect(delta("cookies_accepted") > 0, "nobody came in by a cookie")
    expect(delta("synack_retrans") <= 6 * EMBRYOS * 2, "SYN-ACKs are repeated without end")
    expect(grown < 32, f"{grown:.0f} MiB more memory")
    expect(slowest < 10, f"connecting took {slowest:.1f} s")
    expect(row["p99_us"] < 500e3, f"the slowest percent of honest requests took {row['p99_us'] / 1e3:.0f} ms")
    expect(row["requests"] > 1000, f"only {row['requests']} honest requests were answered")
    expect(bed.peer(ask, 50) < 5, "afterwards connecting is slow")
    expect_equal(server.stop(), 0, "the server ended")


def recover():
    bed.end_all()
    bed.start(CONFIG)


CONFIG = {"tcp": {"embryos_max": EMBRYOS}, "routes": [{"to": "0.0.0.0/0", "via": PEER_ADDR}]}


def main():
    global bed
    harness.need_root()
    bed = harness.Bed("af_packet").up()
    bed.start(CONFIG)
    return harness.run([("flood", test_flood)], recover=recover)


if __name__ == "__main__":
    sys.exit(main())
