#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The conformance cases on the kernel's sockets and on mango's, compared line by line.

Use:     run.py [-k PATTERN]... [--driver D] [-v]     TAP on standard output
         run.py --twice-kernel [-k PATTERN]           the kernel against itself: are the cases steady?
         run.py --show CASE                           both transcripts of a case, side by side
A case passes when every line is the same. Where mango differs on purpose, differences.txt says so and why; an
entry whose case does not differ any more fails, so that the list stays true.
"""
import argparse
import concurrent.futures
import difflib
import itertools
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import harness  # noqa: E402

PORTS_FROM = 10000
PORTS_EACH = 4
AT_ONCE = 6
PATIENCE_S = 40
OURS, THEIRS = harness.DUT_ADDR, harness.PEER_ADDR
OURS6, THEIRS6 = "fd77::1", "fd77::2"


def program(name):
    return os.path.join(harness.BUILD, "test", "posix", name)


IS_ASAN = os.environ.get("MANGO_VARIANT") == "asan"
# A case ends where it ends, with what it has. The sanitizer's own signal handlers do not restart calls, and the
# library restarts them only when all handlers want that.
ASAN_OPTIONS = "exitcode=99:detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0"


def preload():
    """What LD_PRELOAD is. A sanitizer's runtime must come before all other libraries."""
    library = os.path.join(harness.BUILD, "libclient", "libmango_preload.so")
    if not IS_ASAN:
        return library
    found = subprocess.run(["gcc", "-print-file-name=libasan.so"], stdout=subprocess.PIPE, text=True, check=True)
    return os.path.realpath(found.stdout.strip()) + ":" + library


class Side:
    """One stack under the cases: namespaces, the peer process, and how a case is started."""

    def __init__(self, name, driver, preload):
        self.name, self.preload = name, preload
        self.bed = harness.Bed(driver, prefix=f"mgp{os.getpid()}{name[0]}")
        self.env = {"ASAN_OPTIONS": ASAN_OPTIONS} if IS_ASAN else {}

    def up(self):
        self.bed.up()
        self.command(self.bed.dut, "ip link set lo up")
        self.command(self.bed.peer_ns, "ip link set lo up")
        self.command(self.bed.peer_ns, "sysctl -qw net.ipv6.conf.all.disable_ipv6=0")
        for ns in (self.bed.dut, self.bed.peer_ns):
            self.command(ns, "sysctl -qw net.ipv4.tcp_fastopen=3")
        self.command(self.bed.peer_ns, f"ip -6 addr replace {THEIRS6}/64 dev mg1 nodad")
        if self.preload:
            self.start_mango()
        else:
            self.start_kernel()
        path = self.bed.path("peer.sock")
        harness.Process(harness.netns(self.bed.peer_ns) + [program("conform_peer"), path, THEIRS, THEIRS6, OURS, OURS6],
                        self.bed.path("peer.log"))
        harness.wait_for("the peer process", lambda: os.path.exists(path))
        self.env.update(CONFORM_PEER=path, CONFORM_OURS=OURS, CONFORM_THEIRS=THEIRS, CONFORM_OURS6=OURS6,
                        CONFORM_THEIRS6=THEIRS6)

    def command(self, ns, line):
        subprocess.run(harness.netns(ns) + line.split(), check=True)

    def start_kernel(self):
        ns = self.bed.dut
        self.command(ns, "sysctl -qw net.ipv4.conf.all.arp_ignore=0")
        self.command(ns, f"ip addr add {OURS}/24 dev mg0")
        self.command(ns, "sysctl -qw net.ipv6.conf.all.disable_ipv6=0")
        self.command(ns, f"ip -6 addr replace {OURS6}/64 dev mg0 nodad")
        self.command(ns, "ip link set mg0 up")

    def start_mango(self):
        port = {"name": "p0", "interface": "mg0", "driver": self.bed.driver, "mtu": 1500,
                "addresses": [OURS + "/24", OURS6 + "/64"]}
        self.bed.config = {"ports": [port], "tcp": {"fastopen": 3}}
        self.bed.start()
        self.env.update(self.bed.env, LD_PRELOAD=self.preload, MANGO_ADDRESS=self.bed.address())

    def run(self, case, port):
        argv = harness.netns(self.bed.dut) + ["env"] + [f"{k}={v}" for k, v in self.env.items()] + \
            [program("posix_conform"), case, str(port)]
        try:
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_S)
            text = done.stdout.decode(errors="replace").splitlines()
            if done.returncode != 0:
                text.append(f"exit code {done.returncode}")
            return text, done.stderr.decode(errors="replace")
        except subprocess.TimeoutExpired as e:
            return (e.stdout or b"").decode(errors="replace").splitlines() + ["hangs"], ""


def differences():
    """Case -> why it differs on purpose."""
    known = {}
    with open(os.path.join(HERE, "differences.txt")) as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                case, _, why = line.strip().partition(" ")
                known[case] = why.strip()
    return known


def judge(case, kernel, mango, known):
    """(passed, lines to print)."""
    same = kernel == mango
    if any(line.startswith("cannot set") or line == "hangs" for line in kernel):
        return False, ["#   the case itself fails: " + kernel[-2 if len(kernel) > 1 else 0]]
    why = known.get(case) or known.get(case.partition("/")[0])
    if why and not same:
        return True, [f"# differs on purpose: {why}"]
    if why and same and case in known:
        return False, ["# differences.txt says that it differs, and it does not"]
    if same:
        return True, []
    diff = difflib.unified_diff(kernel, mango, "kernel", "mango", lineterm="", n=2)
    return False, ["#   " + line for line in diff]


def main():
    parser = argparse.ArgumentParser(description="conformance of the POSIX face")
    parser.add_argument("-k", action="append", default=[])
    parser.add_argument("--driver", default="af_packet")
    parser.add_argument("--twice-kernel", action="store_true")
    parser.add_argument("--show", metavar="CASE")
    parser.add_argument("-v", action="store_true")
    args = parser.parse_args()
    listed = subprocess.run([program("posix_conform"), "--list"], stdout=subprocess.PIPE, text=True, check=True)
    cases = [c for c in listed.stdout.split() if not args.k or any(k in c for k in args.k)]
    if args.show:
        cases = [args.show]
    sides = [Side("kernel", "af_packet", None), Side("mango", args.driver, None if args.twice_kernel else preload())]
    for side in sides:
        side.up()
    known = {} if args.twice_kernel else differences()
    failed = 0
    print(f"1..{len(cases)}", flush=True)
    ports = {c: PORTS_FROM + PORTS_EACH * i for i, c in enumerate(cases)}
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [[pool.submit(side.run, c, ports[c]) for side in sides] for c in cases]
        for number, case, (a, b) in zip(itertools.count(1), cases, jobs):
            (kernel, _), (mango, err) = a.result(), b.result()
            passed, notes = judge(case, kernel, mango, known)
            failed += not passed
            print(f"{'ok' if passed else 'not ok'} {number} - {case}", flush=True)
            if args.show or (args.v and not passed):
                notes += ["# kernel: " + x for x in kernel] + ["# mango:  " + x for x in mango]
                notes += ["# stderr: " + x for x in err.splitlines()[-20:]]
            if notes:
                print("\n".join(notes), flush=True)
    print(f"# {len(cases) - failed} of {len(cases)} alike, {time.monotonic() - started:.1f} s")
    for side in sides:
        side.bed.down()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
