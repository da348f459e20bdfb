# SPDX-License-Identifier: Apache-2.0
"""Devices under test: mangod with its agent, and the kernel's TCP with the same agent on the kernel's sockets.

A device stands in a namespace of its own, a veth away from the peer. A profile is a way to set a device up; each profile
gets a device of its own, so cases of different profiles run at the same time.
"""
import asyncio
import collections
import json
import os
import subprocess
import sys

SRC = os.environ.get("MANGO_SRC") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MANGO_BUILD") or os.path.join(SRC, "build", "release")
sys.path.insert(0, os.path.join(SRC, "test", "e2e"))
from harness import Process, merge, netns, wait_for  # noqa: E402
from peer import Failure, Peer, expect  # noqa: E402

ADDR4, ADDR6 = "10.77.0.1", "fd77::1"
SECOND4 = "10.78.0.1"
PORT_IF, PEER_IF = "mg0", "mg1"

# What a device is told: mangod's configuration, and the kernel's sysctls (net.ipv4.tcp_ unless they have a dot).
PROFILES = {
    "default": {"mango": {}, "linux": {}},
    # short times, so that what takes minutes takes seconds
    "fast": {
        "mango": {"tcp": {"rto_initial_ms": 50, "rto_min_ms": 20, "rto_max_ms": 1000, "time_wait_ms": 1500,
                          "fin_timeout_ms": 1500, "retries2": 6, "synack_retries": 3, "syn_retries": 5},
                  "arp": {"age_ms": 1000, "retry_ms": 50}},
        "linux": {"retries2": 3, "syn_retries": 2, "synack_retries": 2, "fin_timeout": 2, "orphan_retries": 1,
                  "rto_min_us": 20000, "rto_max_ms": 1000, "syn_linear_timeouts": 0},
    },
    "ecn": {"mango": {"tcp": {"ecn": "on"}}, "linux": {"ecn": 1}},
    "cookies": {"mango": {"tcp": {"syn_cookies": "always"}}, "linux": {"syncookies": 2}},
    "flood": {"mango": {"tcp": {"embryos_max": 512}}, "linux": {"max_syn_backlog": 256}},
    # black holes are looked for
    "probing": {"mango": {}, "linux": {"mtu_probing": 1, "retries1": 2}},
    "fastopen": {"mango": {"tcp": {"fastopen": 3}}, "linux": {"fastopen": 3}},
    "reno": {"mango": {"tcp": {"congestion_control": "reno"}}, "linux": {"congestion_control": "reno"}},
    "bare": {"mango": {"tcp": {"timestamps": False, "sack": False, "window_scale": 0, "nagle": True}},
             "linux": {"timestamps": 0, "sack": 0, "window_scaling": 0}},
}

LINUX = {
    "congestion_control": "cubic", "no_metrics_save": 1, "rmem": "4096 131072 6291456", "wmem": "4096 262144 4194304",
    "invalid_ratelimit": 0, "timestamps": 1, "ecn": 2, "fastopen": 0x3, "net.ipv4.icmp_ratelimit": 0,
    "net.ipv4.icmp_msgs_per_sec": 100000, "net.ipv4.conf.all.rp_filter": 1, "autocorking": 0, "rfc1337": 1,
}


def tool(*words):
    return os.path.join(BUILD, *words)


def command(*words, check=True):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(words)}: {done.stdout.strip()}")
    return done.stdout


class Agent:
    """The agent of test/lib, one command after the other; an answer may be waited for later."""

    def __init__(self, process):
        self.process = process
        self.waiting = collections.deque()
        self.reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self):
        while True:
            line = (await self.process.stdout.readline()).decode().strip()
            if line == "":
                for future in self.waiting:
                    if not future.done():
                        future.set_exception(Failure("the agent ended"))
                self.waiting.clear()
                return
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(line)

    def start(self, line):
        """Sends a command; the future has its answer."""
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody need ask
        self.waiting.append(future)
        self.process.stdin.write((line + "\n").encode())
        return future

    async def call(self, line, seconds=10.0):
        try:
            return await asyncio.wait_for(asyncio.shield(self.start(line)), seconds)
        except asyncio.TimeoutError:
            raise Failure(f"the agent gave no answer to {line!r} within {seconds} s") from None

    async def ok(self, line, seconds=10.0):
        """The words after "ok"."""
        answer = await self.call(line, seconds)
        expect(answer.startswith("ok"), f"{line!r} gave {answer!r}")
        return answer.split()[1:]

    async def error(self, line, name, seconds=10.0):
        answer = await self.call(line, seconds)
        names = name.split("|")
        expect(answer in ["err " + x for x in names], f"{line!r} gave {answer!r}, wanted err {name}")

    async def done(self, future, seconds=10.0):
        """The words of the answer to start()."""
        try:
            answer = await asyncio.wait_for(asyncio.shield(future), seconds)
        except asyncio.TimeoutError:
            raise Failure(f"the agent gave no answer within {seconds} s") from None
        expect(answer.startswith("ok"), f"the agent said {answer!r}")
        return answer.split()[1:]

    async def failed(self, future, name, seconds=10.0):
        """Demands that what was started fails by this error."""
        try:
            answer = await asyncio.wait_for(asyncio.shield(future), seconds)
        except asyncio.TimeoutError:
            raise Failure(f"the agent gave no answer within {seconds} s, wanted err {name}") from None
        expect(answer in ["err " + x for x in name.split("|")], f"the agent said {answer!r}, wanted err {name}")

    async def stop(self):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self.reader


class Device:
    """A device in its namespace, and the peer on the other end of the wire."""

    name = "?"
    mtu = 1500
    todo_v6 = None

    def __init__(self, profile, folder):
        self.profile = profile
        self.prefix = f"mgw{os.getpid()}{profile}"
        self.ns, self.peer_ns = self.prefix + "-dut", self.prefix + "-peer"
        self.folder = os.path.join(folder, profile)
        self.peer = None
        self.idle_agents = []
        self.all_agents = []

    def wire_up(self):
        for ns in (self.ns, self.peer_ns):
            command("ip", "netns", "add", ns)
            v6 = "1" if ns == self.peer_ns or self.name == "mango" else "0"
            command(*netns(ns), "sysctl", "-qw", f"net.ipv6.conf.all.disable_ipv6={v6}",
                    f"net.ipv6.conf.default.disable_ipv6={v6}", "net.ipv4.conf.all.arp_ignore=8")
            command("ip", "-n", ns, "link", "set", "lo", "up")
        command("ip", "link", "add", PORT_IF, "mtu", str(self.mtu), "netns", self.ns, "type", "veth", "peer", "name",
                PEER_IF, "mtu", str(self.mtu), "netns", self.peer_ns)
        for ns, link in ((self.ns, PORT_IF), (self.peer_ns, PEER_IF)):
            command(*netns(ns), "ethtool", "-K", link, "tso", "off", "gso", "off", "gro", "off", "sg", "off", "tx", "off",
                    "rx", "off", check=False)
            command("ip", "-n", ns, "link", "set", link, "txqueuelen", "10000", "gso_max_segs", "1", "up")
        links = json.loads(command("ip", "-n", self.ns, "-j", "link", "show", PORT_IF))
        self.mac = bytes.fromhex(links[0]["address"].replace(":", ""))

    async def up(self):
        os.makedirs(self.folder, exist_ok=True)
        self.wire_up()
        self.start()
        self.peer = Peer(self.peer_ns, PEER_IF)

    async def down(self):
        for agent in self.all_agents:
            await agent.stop()
        if self.peer is not None:
            self.peer.close()
        self.stop()
        for ns in (self.ns, self.peer_ns):
            command("ip", "netns", "del", ns, check=False)

    async def agent(self):
        while self.idle_agents:
            agent = self.idle_agents.pop()
            if agent.process.returncode is None:
                return agent
        with open(os.path.join(self.folder, "agent.log"), "ab") as log:
            process = await asyncio.create_subprocess_exec(
                *netns(self.ns), *self.agent_words(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=dict(os.environ, **self.environment()), limit=1 << 22)
        agent = Agent(process)
        self.all_agents.append(agent)
        return agent

    async def give_back(self, agent):
        """An agent that has answered everything is used again."""
        if not agent.waiting and agent.process.returncode is None:
            try:
                await agent.ok("forget", 3)
                self.idle_agents.append(agent)
                return
            except Failure:
                pass
        await agent.stop()
        self.all_agents.remove(agent)

    def environment(self):
        return {}


class Mango(Device):
    name = "mango"

    def config(self):
        base = {
            "instance": self.prefix,
            "runtime_dir": os.path.join(self.folder, "run"),
            "ports": [{"name": "p0", "interface": PORT_IF, "driver": "af_packet", "mtu": self.mtu,
                       "addresses": [ADDR4 + "/16", SECOND4 + "/24", ADDR6 + "/64"]}],
            "ipc": {"grpc": {"enabled": False}},
            "memory": {"dpdk_mib": 64, "hugepages": "off"},
            "nd": {"dad_ms": 0},
            "app": {"sessions_max": 1024, "region_bytes": 1 << 30},
        }
        return merge(base, PROFILES[self.profile]["mango"])

    def agent_words(self):
        return [tool("test", "lib", "mango_agent"), "local:" + self.prefix]

    def environment(self):
        return {"MANGO_RUNTIME_DIR": os.path.join(self.folder, "run")}

    def ctl(self, *words):
        return subprocess.run([*netns(self.ns), tool("daemon", "cli", "mangoctl"), "--address", "local:" + self.prefix,
                               *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                              env=dict(os.environ, **self.environment()))

    def start(self):
        path = os.path.join(self.folder, "mangod.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(json.dumps(self.config(), indent=1) + "\n")
        self.daemon = Process(netns(self.ns) + [tool("daemon", "mangod"), "-c", path],
                              os.path.join(self.folder, "mangod.log"), env=self.environment())
        wait_for("mangod serves", lambda: self.daemon.poll() is not None or self.ctl("health").returncode == 0, 20)
        expect(self.daemon.poll() is None, "mangod ended: " + self.daemon.output()[-2000:])

    def stop(self):
        if hasattr(self, "daemon"):
            self.daemon.stop()

    def alive(self):
        return self.daemon.poll() is None

    def counters(self):
        return json.loads(self.ctl("stats", "--json").stdout)["stats"]

    def log(self):
        return self.daemon.output()[-2000:]


class Linux(Device):
    name = "linux"

    def agent_words(self):
        return [tool("test", "wire", "kernel_agent"), "kernel"]

    def sysctl(self, key, value):
        key = key if "." in key else "net.ipv4.tcp_" + key
        return command(*netns(self.ns), "sysctl", "-qw", f"{key}={value}", check=False)

    def start(self):
        for address in (ADDR4 + "/16", SECOND4 + "/24"):
            command("ip", "-n", self.ns, "addr", "add", address, "dev", PORT_IF)
        command("ip", "-n", self.ns, "addr", "add", ADDR6 + "/64", "dev", PORT_IF, "nodad")
        settings = merge(LINUX, PROFILES[self.profile]["linux"])
        choice = settings.pop("congestion_control")
        self._choose(choice)
        said = "".join(self.sysctl(k, v) for k, v in settings.items())
        if said:
            print("# " + said.strip().replace("\n", "\n# "), flush=True)

    def _choose(self, name):
        """Restricted algorithms are open to a namespace only while the host's list names them."""
        key = "net.ipv4.tcp_allowed_congestion_control"
        allowed = command("sysctl", "-n", key, check=False).strip()
        command("sysctl", "-qw", f"{key}={allowed} {name}", check=False)
        self.sysctl("congestion_control", name)
        command("sysctl", "-qw", f"{key}={allowed}", check=False)

    def stop(self):
        pass

    def alive(self):
        return True

    def counters(self):
        return {}

    def log(self):
        return ""


DEVICES = {"mango": Mango, "linux": Linux}
