# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests stand on: a testbed, a daemon in it, processes, and the kernel's TCP as the peer.

A test is a function that takes a Bed and raises on failure; run() prints TAP. The peer's sockets are ordinary
Python sockets in forked children that have entered the peer's namespace (Bed.peer).
"""
import atexit
import ctypes
import json
import os
import pickle
import select
import signal as signals
import socket
import subprocess
import sys
import time
import traceback

SRC = os.environ.get("MANGO_SRC") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MANGO_BUILD") or os.path.join(SRC, "build", "release")
DUT_ADDR = "10.77.0.1"
PEER_ADDR = "10.77.0.2"
DUT_ADDR6 = "fd77::1"
PEER_ADDR6 = "fd77::2"
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """A test's expectation did not hold."""


class Skip(Exception):
    """This machine cannot run the test; the text says why."""


def expect(condition, what):
    if not condition:
        raise Failure(what)


def expect_equal(found, wanted, what):
    if found != wanted:
        raise Failure(f"{what}: found {found!r}, wanted {wanted!r}")


def wait_for(what, condition, seconds=10.0, step=0.02):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(step)


def tool(name):
    """Path of a program that the build made."""
    for folder in ("daemon", "daemon/cli", "libclient/examples", "test/lib", "test/bench", "test/e2e"):
        path = os.path.join(BUILD, folder, name)
        if os.path.exists(path):
            return path
    raise Failure(f"{name} is not built in {BUILD}")


class Process:
    """A child of ours with its output kept in a file; ended by its pid at the latest when the suite ends."""

    alive = []
    new_session = False

    def __init__(self, argv, log, env=None, stdin=None, stdout=None):
        self.argv, self.log = argv, log
        out = open(log, "ab")
        self.popen = subprocess.Popen(argv, stdout=stdout or out, stderr=out, stdin=stdin or subprocess.DEVNULL,
                                      env=dict(os.environ, **(env or {})),
                                      start_new_session=Process.new_session)
        out.close()
        self.pid = self.popen.pid
        Process.alive.append(self)

    def poll(self):
        return self.popen.poll()

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, seconds=15.0):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.argv} did not end within {seconds} s")

    def stop(self, number=signals.SIGTERM, seconds=15.0):
        if self.poll() is None:
            self.signal(number)
            self.wait(seconds)
        if self in Process.alive:
            Process.alive.remove(self)
        return self.popen.returncode

    def output(self):
        with open(self.log, errors="replace") as f:
            return f.read()


def _end_all():
    for p in list(Process.alive):
        if p.poll() is None:
            p.popen.kill()
            p.popen.wait()


def netns(name):
    return ["ip", "netns", "exec", name]


class Agent:
    """test/lib/agent: makes libmango calls as it is told, one line each."""

    def __init__(self, bed, address=None):
        self.process = Process(netns(bed.dut) + [tool("mango_agent"), address or bed.address()],
                               bed.path("agent.log"), env=bed.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(self, line):
        self.process.popen.stdin.write((line + "\n").encode())
        self.process.popen.stdin.flush()

    def reply(self, seconds=20.0):
        out = self.process.popen.stdout
        if not select.select([out], [], [], seconds)[0]:
            raise Failure(f"the agent gave no answer within {seconds} s")
        line = out.readline().decode().strip()
        expect(line != "", "the agent ended: " + self.process.output()[-500:])
        return line

    def call(self, line, seconds=20.0):
        self.send(line)
        return self.reply(seconds)

    def ok(self, line, seconds=20.0):
        """The words after "ok" of the answer."""
        answer = self.call(line, seconds)
        expect(answer.startswith("ok"), f"{line!r} gave {answer!r}")
        return answer.split()[1:]

    def error(self, line, name, seconds=20.0):
        answer = self.call(line, seconds)
        expect(answer == "err " + name, f"{line!r} gave {answer!r}, wanted err {name}")

    def stop(self, number=signals.SIGTERM):
        self.process.popen.stdin.close()
        self.process.stop(number)
        self.process.popen.stdout.close()


class Relay:
    """test/lib/relay between the two sides of a Bed: settings by name, "ab" is from the daemon to the peer."""

    def __init__(self, bed, *settings, seed=1):
        self.path = bed.path("relay.sock")
        argv = netns(bed.relay_ns) + [tool("relay"), "--a", "ra", "--b", "rb", "--seed", str(seed),
                                      "--control", self.path, *settings]
        self.process = Process(argv, bed.path("relay.log"))
        wait_for("the relay relays", lambda: "ready" in self.process.output() or self.process.poll() is not None)
        expect(self.process.poll() is None, "the relay ended: " + self.process.output()[-500:])

    def ask(self, line):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.path)
            s.sendall((line + "\n").encode())
            answer = b""
            while not answer.endswith(b"\n"):
                answer += s.recv(8192)
            return answer.decode().strip()

    def set(self, *settings):
        """Settings hold from the next frame on: set("both:delay_us=5000", "ab:loss_ppm=1000")."""
        expect_equal(self.ask(" ".join(settings)), "ok", "the relay's answer")

    def clear(self):
        """A perfect wire again."""
        self.set(*[f"both:{name}=0" for name in
                   ("delay_us", "jitter_us", "loss_ppm", "burst_ppm", "burst_len", "reorder_ppm", "reorder_us",
                    "dup_ppm", "corrupt_ppm", "rate_kbit", "queue_bytes", "queue_packets", "ce_bytes", "mtu", "icmp",
                    "drop_nth", "down")])

    def stats(self):
        return json.loads(self.ask("stats"))

    def reset(self):
        expect_equal(self.ask("reset"), "ok", "the relay's answer")

    def stop(self):
        self.process.stop()


class Bed:
    """A testbed of its own with a daemon on one side and the kernel on the other."""

    def __init__(self, driver, config=None, mtu=1500, prefix=None, relay=False, offloads=False):
        self.driver, self.mtu, self.with_relay, self.relay = driver, mtu, relay, None
        self.offloads = offloads
        self.prefix = prefix or f"mge{os.getpid()}"
        self.instance = self.prefix
        self.dir = f"/tmp/mango-e2e-{self.prefix}"
        self.config = config or {}
        self.dut = self.prefix + ("-peer" if driver == "tap" else "-dut")
        self.peer_ns = self.prefix + "-peer"
        self.relay_ns = self.prefix + "-relay"
        self.env = {"MANGO_RUNTIME_DIR": self.path("run")}
        self.daemon = None
        os.makedirs(self.dir, exist_ok=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def address(self, instance=None):
        """What a client calls the daemon over the local transport."""
        return "local:" + (instance or self.instance)

    def grpc_unix(self):
        return "unix:" + self.path("run") + "/grpc.sock"

    def testbed(self, *words, check=True):
        return subprocess.run([os.path.join(SRC, "scripts/testbed"), *words], check=check,
                              env=dict(os.environ, MANGO_TESTBED=self.prefix), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)

    def up(self):
        signals.signal(signals.SIGTERM, lambda *_: sys.exit(1))  # so that what was made is removed
        words = ["up", "--mtu", str(self.mtu)] + (["--tap"] if self.driver == "tap" else []) + \
            (["--relay"] if self.with_relay else []) + (["--offloads"] if self.offloads else [])
        self.testbed(*words)
        atexit.register(self.down)
        if self.with_relay:
            self.relay = Relay(self)
        return self

    def tell(self, lines=15):
        """Prints the end of mangod's log as TAP comments."""
        try:
            with open(self.path("mangod.log"), errors="replace") as f:
                text = f.read().splitlines()[-lines:]
        except FileNotFoundError:
            return
        state = "is not there" if self.daemon is None else f"ended by {self.daemon.poll()}" \
            if self.daemon.poll() is not None else "lives"
        print("\n".join([f"# mangod {state}; its log ends:"] + ["#   " + line for line in text]), flush=True)

    def end_all(self):
        """Ends every process of ours, at once."""
        _end_all()
        self.daemon = None

    def down(self):
        atexit.unregister(self.down)
        if self.daemon:
            self.daemon.stop(signals.SIGKILL)
            self.daemon = None
        _end_all()
        self.testbed("down", check=False)
        if "MANGO_E2E_KEEP" not in os.environ:
            subprocess.run(["rm", "-rf", self.dir], check=False)

    def default_config(self):
        interface = "mg1" if self.driver == "tap" else "mg0"
        return {
            "instance": self.instance,
            "runtime_dir": self.path("run"),
            "ports": [{"name": "p0", "interface": interface, "driver": self.driver, "mtu": self.mtu,
                       # IPv6 needs links of 1280 bytes and more
                       "addresses": [DUT_ADDR + "/24"] + ([DUT_ADDR6 + "/64"] if self.mtu >= 1280 else [])}],
            "ipc": {"grpc": {"listen": [self.grpc_unix(), "localhost:32847"]}},
        }

    def write_config(self, changes=None, name="mangod.yaml"):
        config = merge(merge(self.default_config(), self.config), changes or {})
        with open(self.path(name), "w") as f:
            f.write(json.dumps(config, indent=1) + "\n")  # JSON is YAML
        return self.path(name)

    def start(self, changes=None, ready=True):
        """Starts mangod and waits until it serves."""
        argv = netns(self.dut) + [tool("mangod"), "-c", self.write_config(changes)]
        if os.path.exists(self.path("mangod.log")):
            os.unlink(self.path("mangod.log"))
        self.daemon = Process(argv, self.path("mangod.log"), env=self.env)
        if ready:
            self.wait_ready(self.daemon)
            if self.driver == "tap":
                self.testbed("tap-config")
        return self.daemon

    def wait_ready(self, daemon, address=None, seconds=20):
        wait_for("mangod serves",
                 lambda: daemon.poll() is not None or self.ctl("health", address=address).returncode == 0, seconds)
        expect(daemon.poll() is None, "mangod ended: " + daemon.output()[-2000:])

    def mangod(self, *words, wrap=(), seconds=20):
        """Runs mangod to its end, which is expected to come soon."""
        return subprocess.run(netns(self.dut) + list(wrap) + [tool("mangod"), *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=seconds, env=dict(os.environ, **self.env))

    def launch(self, config, name):
        """Another daemon beside the first."""
        path = self.path(name + ".yaml")
        with open(path, "w") as f:
            f.write(json.dumps(config, indent=1) + "\n")
        daemon = Process(netns(self.dut) + [tool("mangod"), "-c", path], self.path(name + ".log"), env=self.env)
        self.wait_ready(daemon, self.address(config["instance"]))
        return daemon

    def stop(self, number=signals.SIGTERM):
        code = self.daemon.stop(number)
        self.daemon = None
        return code

    def ctl(self, *words, address=None):
        argv = [tool("mangoctl"), "--address", address or self.address(), *words]
        return subprocess.run(netns(self.dut) + argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=dict(os.environ, **self.env), timeout=30)

    def ctl_json(self, *words, address=None):
        done = self.ctl(*words, "--json", address=address)
        expect(done.returncode == 0, f"mangoctl {words}: {done.stderr}")
        return json.loads(done.stdout)

    def stats(self):
        """All counters by name."""
        return self.ctl_json("stats")["stats"]

    def listeners(self, address=None):
        return self.ctl_json("listeners", address=address)["listeners"]

    def listens(self, port, address=None):
        return any(x["local"].endswith(f":{port}") for x in self.listeners(address))

    def app(self, name, *words, address=None):
        """Starts one of the example programs on libmango."""
        argv = netns(self.dut) + [tool(name), "--address", address or self.address(), *words]
        return Process(argv, self.path(name + ".log"), env=self.env)

    def agent(self, address=None):
        return Agent(self, address)

    def peer(self, function, *args, seconds=60):
        """Calls function(*args) in a child inside the peer's namespace; returns its value or raises its failure."""
        return Peer(self, function, *args).result(seconds)

    def peer_start(self, function, *args):
        return Peer(self, function, *args)

    def connections(self, address=None):
        return self.ctl_json("connections", address=address)["connections"]


class Peer:
    """A function that runs in the peer's namespace."""

    def __init__(self, bed, function, *args):
        self.read_fd, write_fd = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.read_fd)
            self._child(bed, write_fd, function, args)
        os.close(write_fd)

    @staticmethod
    def _child(bed, write_fd, function, args):
        try:
            ns = os.open("/run/netns/" + bed.peer_ns, os.O_RDONLY)
            if _libc.setns(ns, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            value = (True, function(*args))
        except BaseException as e:  # everything is the parent's to report
            value = (False, "".join(traceback.format_exception_only(type(e), e)).strip() + " at " +
                     " < ".join(f"{f.name}:{f.lineno}" for f in traceback.extract_tb(e.__traceback__)[::-1]))
        with os.fdopen(write_fd, "wb") as out:
            pickle.dump(value, out)
        os._exit(0)

    def result(self, seconds=60):
        data = b""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.read_fd], [], [], left)[0]:
                os.kill(self.pid, signals.SIGKILL)
                os.waitpid(self.pid, 0)
                raise Failure(f"the peer did not finish within {seconds} s")
            piece = os.read(self.read_fd, 1 << 16)
            if piece == b"":
                break
            data += piece
        os.close(self.read_fd)
        os.waitpid(self.pid, 0)
        expect(data != b"", "the peer's child died")
        ok, value = pickle.loads(data)
        if not ok:
            raise Failure("peer: " + value)
        return value


def merge(base, changes):
    """base with changes laid over it; dicts are merged, everything else replaced."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    return {k: merge(base[k], changes[k]) if k in base and k in changes else changes.get(k, base.get(k))
            for k in {**base, **changes}}


def tcp(address=None, port=None, timeout=20):
    """A kernel socket, connected when an address is given."""
    s = socket.socket(socket.AF_INET6 if address and ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(timeout)
    if address:
        s.connect(socket.getaddrinfo(address, port, s.family, s.type)[0][4])
    return s


def recv_all(s, n):
    data = bytearray()
    while len(data) < n:
        piece = s.recv(min(1 << 20, n - len(data)))
        if piece == b"":
            raise Failure(f"the stream ended after {len(data)} of {n} bytes")
        data += piece
    return bytes(data)


def run(tests, argv=None, recover=None):
    """Runs (name, function) pairs and prints TAP. A word on the command line picks the tests whose name has it.

    recover() is called after a failure, so that the next test starts from where it expects to.
    """
    words = [w for w in (argv if argv is not None else sys.argv[1:]) if not w.startswith("-")]
    picked = [t for t in tests if not words or any(w in t[0] for w in words)]
    failed = 0
    print(f"1..{len(picked)}", flush=True)
    for i, (name, function) in enumerate(picked, 1):
        start = time.monotonic()
        try:
            function()
            print(f"ok {i} - {name} # {time.monotonic() - start:.1f} s", flush=True)
        except Skip as e:
            print(f"ok {i} - {name} # SKIP {e}", flush=True)
        except Exception as e:  # a test that breaks has failed
            failed += 1
            print(f"not ok {i} - {name}")
            text = str(e) if isinstance(e, Failure) else traceback.format_exc()
            print("\n".join("# " + line for line in text.splitlines()), flush=True)
            if recover:
                recover()
    return 1 if failed else 0


def need_root():
    if os.geteuid() != 0:
        print("network namespaces need root")
        sys.exit(77)
