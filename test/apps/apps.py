# SPDX-License-Identifier: Apache-2.0
"""What the scripts for real programs stand on: a testbed where unmodified programs run on mangod.

A script makes one App and runs a list of tests on it. The accelerated side ("ours") is a namespace whose only
way out is mangod: what gets through went through it. The other side is the kernel's TCP. With --kernel the same
tests run on the kernel at both ends, which tests the script.

Use:   <program>.py [--kernel] [--long] [--driver D] [--relay[=SETTINGS]] [WORD...]     TAP on standard output
       A word picks the tests whose name has it. --relay puts delay, jitter, loss and reordering in between.
"""
import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import harness  # noqa: E402
from harness import Failure, expect, expect_equal, wait_for  # noqa: E402,F401

OURS, THEIRS = harness.DUT_ADDR, harness.PEER_ADDR
OURS6, THEIRS6 = "fd77::1", "fd77::2"
MIB = 1 << 20
LOSSY = "both:delay_us=2000 both:jitter_us=500 both:loss_ppm=5000 both:reorder_ppm=5000 both:reorder_us=1000"


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--kernel", action="store_true", help="no mangod: the kernel at both ends")
    parser.add_argument("--long", action="store_true", help="more load, more of everything")
    parser.add_argument("--driver", default="af_packet")
    parser.add_argument("--relay", nargs="?", default="", const=LOSSY, metavar="SETTINGS",
                        help=f"a bad network in between: settings of test/lib/relay ({LOSSY})")
    parser.add_argument("words", nargs="*")
    return parser.parse_args()


class App:
    """A testbed, a daemon, and ways to start programs on either side."""

    def __init__(self, name, *programs):
        for program in programs:
            if shutil.which(program) is None and not os.path.exists(program):
                print(f"{program} is not installed")
                sys.exit(77)
        harness.need_root()
        harness.Process.new_session = True
        self.name = name
        self.args = arguments(f"{name} on mangod")
        self.long = self.args.long
        self.bed = harness.Bed(self.args.driver, prefix=f"mga{os.getpid()}", relay=bool(self.args.relay))
        self.env = {}
        self.children = []

    def __enter__(self):
        self.bed.up()
        if self.args.relay:
            self.bed.relay.set(*self.args.relay.split())
        os.chmod(self.bed.dir, 0o755)
        ours, theirs = self.bed.dut, self.bed.peer_ns
        for ns in (ours, theirs):
            self._do(ns, "ip link set lo up")
            self._do(ns, "sysctl -qw net.ipv6.conf.all.disable_ipv6=0")
        self._do(theirs, f"ip -6 addr replace {THEIRS6}/64 dev mg1 nodad")
        if self.args.kernel:
            self._do(ours, "sysctl -qw net.ipv4.conf.all.arp_ignore=0")
            self._do(ours, f"ip addr replace {OURS}/24 dev mg0")
            self._do(ours, f"ip -6 addr replace {OURS6}/64 dev mg0 nodad")
        else:
            self._start_mangod()
        return self

    def __exit__(self, *_):
        for p in reversed(self.children):
            stop(p)
        self.bed.down()

    def _do(self, ns, line):
        subprocess.run(harness.netns(ns) + line.split(), check=True)

    def _start_mangod(self):
        preload = os.path.join(harness.BUILD, "libclient", "libmango_preload.so")
        expect(os.path.exists(preload), f"{preload} is not built")
        # Some servers give root up: whoever they become may attach.
        port = {"name": "p0", "interface": "mg0", "driver": self.args.driver, "mtu": 1500,
                "addresses": [OURS + "/24", OURS6 + "/64"]}
        self.bed.config = {"access": [{"user": "*"}], "attach": {"mode": "0666"}, "ports": [port]}
        self.bed.start()
        self.env = dict(self.bed.env, LD_PRELOAD=preload, MANGO_ADDRESS=self.bed.address())

    # -- files -----------------------------------------------------------------------------------------------

    def path(self, name):
        return self.bed.path(name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def random_file(self, name, size):
        with open(self.path(name), "wb") as f:
            f.write(os.urandom(min(size, MIB)) * (size // min(size, MIB)))
        os.chmod(self.path(name), 0o644)
        return self.path(name)

    def folder(self, name, user=None):
        os.makedirs(self.path(name), exist_ok=True)
        os.chmod(self.path(name), 0o755)
        if user:
            shutil.chown(self.path(name), user, user)
        return self.path(name)

    # -- programs --------------------------------------------------------------------------------------------

    def _argv(self, side, argv, user=None):
        """side: "ours" is accelerated, "theirs" is the kernel's in the other namespace."""
        argv = [str(a) for a in argv]
        ns = self.bed.dut if side == "ours" else self.bed.peer_ns
        words = harness.netns(ns)
        if user:
            words = words + ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        if side == "ours" and self.env:
            words = words + ["env"] + [f"{k}={v}" for k, v in self.env.items()]
        return words + argv

    def start(self, side, argv, log, port=None, user=None, env=None):
        """Starts a program; with a port, waits until it listens there."""
        p = harness.Process(self._argv(side, argv, user), self.path(log), env=env)
        self.children.append(p)
        if port is not None:
            self.wait_port(side, port, p)
        return p

    def wait_port(self, side, port, process=None, seconds=20):
        """Until something on `side` answers a connect from the far side."""
        address = OURS if side == "ours" else THEIRS
        probe = "theirs" if side == "ours" else "ours"

        def answers():
            expect(process is None or process.poll() is None,
                   "the server ended: " + (process.output()[-1500:] if process else ""))
            return self.run(probe, ["python3", "-c", "import socket,sys\ns=socket.socket()\ns.settimeout(1)\n"
                                    f"sys.exit(s.connect_ex(('{address}',{port}))!=0)"],
                            check=False)[0] == 0
        wait_for(f"{self.name} listens on {port}", answers, seconds, 0.1)

    def run(self, side, argv, check=True, seconds=60, stdin=None, user=None, env=None):
        """Runs a program to its end: (exit code, standard output, standard error)."""
        try:
            done = subprocess.run(self._argv(side, argv, user), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  input=stdin, timeout=seconds, env=dict(os.environ, **(env or {})))
        except subprocess.TimeoutExpired as e:
            raise Failure(f"{argv[0]} did not end within {seconds} s: {(e.stdout or b'')[-500:]!r}")
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if check and done.returncode != 0:
            raise Failure(f"{' '.join(str(a) for a in argv)[:200]} gave {done.returncode}: {out[-600:]} {err[-1200:]}")
        return done.returncode, out, err

    def out(self, side, argv, **more):
        return self.run(side, argv, **more)[1]

    def in_background(self, side, argv, **more):
        """run() in a thread; .result() gives what it gave."""
        return Background(lambda: self.run(side, argv, **more))

    # -- mangod ----------------------------------------------------------------------------------------------

    def connections(self):
        """Connections that mangod carries now; none on the kernel."""
        if self.args.kernel:
            return []
        return self.bed.ctl_json("connections")["connections"]

    def expect_carried(self, before=None):
        """mangod really moved something since carried() gave `before`."""
        if not self.args.kernel:
            expect(self.carried() > (before or 0), "mangod carried nothing")

    def carried(self):
        if self.args.kernel:
            return 0
        stats = self.bed.stats()
        return sum(int(v) for k, v in stats.items() if k.endswith("rx_data_bytes") or k.endswith("rx_bytes"))

    def stop_all(self):
        for p in reversed(self.children):
            stop(p)
        self.children.clear()

    def recover(self):
        """After a failure: what was started goes, and a daemon that died comes back."""
        if not self.args.kernel:
            self.bed.tell()
        self.stop_all()
        if not self.args.kernel and (self.bed.daemon is None or self.bed.daemon.poll() is not None):
            self.bed.start()

    def tests(self, *tests):
        """Runs the functions given (each with a docstring that names it) and returns the exit code."""
        pairs = [(f"{self.name}: {t.__doc__.strip().splitlines()[0].rstrip('.')}", lambda t=t: self._one(t)) for t in tests]
        return harness.run(pairs, self.args.words, self.recover)

    def _one(self, test):
        before = self.carried()
        test(self)
        self.expect_carried(before)
        self.stop_all()


class Background:
    def __init__(self, function):
        self.value = self.error = None
        self.thread = threading.Thread(target=self._go, args=(function,))
        self.thread.start()

    def _go(self, function):
        try:
            self.value = function()
        except BaseException as e:
            self.error = e

    def result(self, seconds=120):
        self.thread.join(seconds)
        expect(not self.thread.is_alive(), "it did not end")
        if self.error:
            raise self.error
        return self.value


def stop(process, number=signal.SIGTERM, seconds=5):
    """Ends a program with its children (each was started in a session of its own)."""
    for sig in (number, signal.SIGKILL):
        try:
            os.killpg(process.pid, sig)
        except ProcessLookupError:
            pass
        try:
            process.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        end = time.monotonic() + 2
        while time.monotonic() < end and group_lives(process.pid):
            time.sleep(0.02)
        if not group_lives(process.pid):
            break
    if process in harness.Process.alive:
        harness.Process.alive.remove(process)


def group_lives(pgid):
    try:
        os.killpg(pgid, 0)
        return True
    except ProcessLookupError:
        return False


def digest(data):
    import hashlib
    return hashlib.sha256(data).hexdigest()


def file_digest(path):
    with open(path, "rb") as f:
        return digest(f.read())


def certificate(app):
    """A key and a certificate for one day: (key, certificate)."""
    key, cert = app.path("key.pem"), app.path("cert.pem")
    if not os.path.exists(cert):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=mango",
                        "-keyout", key, "-out", cert], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.chmod(key, 0o644)
    return key, cert


def main(app, *tests):
    with app:
        code = app.tests(*tests)
    sys.exit(code)


__all__ = ["App", "Failure", "MIB", "OURS", "OURS6", "THEIRS", "THEIRS6", "certificate", "digest", "expect",
           "expect_equal", "file_digest", "main", "os", "signal", "socket", "stop", "subprocess", "sys", "time", "wait_for"]
