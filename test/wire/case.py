# SPDX-License-Identifier: Apache-2.0
"""What a case is, and what it is given.

    @case("MUST-3", "a wrong checksum is dropped without a word")
    async def bad_checksum(t):
        c = await t.passive()
        c.tx("PA", b"x", bad_checksum=True)
        await c.none()

The ids are rows of test/wire/rows.txt. The function's name is the case's key in differences.txt and for -k.
"""
import asyncio
import collections
import contextlib
import random
import struct

import packet as pk
from packet import MOD
from dut import ADDR4, ADDR6
from peer import MAC, Conn, Failure, equal

CASES = []
PATTERN = 0x9e3779b97f4a7c15


class Case:
    def __init__(self, function, ids, title, words):
        self.function, self.ids, self.title = function, ids.split(), title
        self.key = function.__name__
        self.profile = words.get("profile", "default")
        self.families = words.get("families", "4")
        self.seconds = words.get("seconds", 1)  # about how long it takes; the long ones begin first
        self.limit = words.get("limit", 40)
        self.todo = words.get("todo")  # mango does not have it yet: the reason
        self.todo6 = words.get("todo6")  # likewise, for IPv6
        self.mango_only = words.get("mango_only")  # why there is nothing to compare with
        self.long = words.get("long", False)  # minutes: only with --long
        self.alone = words.get("alone", False)  # measures times that company would spoil


def case(ids, title, **words):
    def note(function):
        CASES.append(Case(function, ids, title, words))
        return function
    return note


def pattern(n, start=0):
    """The bytes of the agent's sendn."""
    return bytes(((i * PATTERN) >> 56) & 255 for i in range(start, start + n))


class Test:
    """One case on one device: hosts and ports of its own, an agent, and a record of what went over the wire."""

    def __init__(self, case_, device, index, family):
        self.case, self.device, self.family = case_, device, family
        self.is_mango = device.name == "mango"
        self.wire = device.peer
        self.index = index
        self.port = 2000 + index % 3000 * 10
        self.random = random.Random(case_.key + str(family))
        self.peer_text = self.host_text(0)
        self.peer = pk.addr(self.peer_text)
        self.dut_text = ADDR4 if family == 4 else ADDR6
        self.dut_addr = pk.addr(self.dut_text)
        self.silent = False
        self.asked = 0  # times that the device asked for a hardware address of ours
        self.conns = {}
        self.others = collections.deque()
        self.waiter = None
        self.found = {}
        self.allowed = []
        self.trace = collections.deque(maxlen=2000)
        self.agent = None
        self.extra_agents = []
        self.hosts = []
        self.add_host(self.peer)

    def host_text(self, number):
        """Each case has 8 addresses."""
        n = self.index % 7000 * 8 + number
        return f"10.77.{1 + n // 250}.{1 + n % 250}" if self.family == 4 else f"fd77::1:{n:x}"

    def add_host(self, address):
        self.hosts.append(address)
        self.wire.hosts[address] = self

    def another_host(self, number):
        address = pk.addr(self.host_text(number))
        self.add_host(address)
        return address

    # -- life

    async def begin(self):
        self.agent = await self.device.agent()

    async def another_agent(self):
        agent = await self.device.agent()
        self.extra_agents.append(agent)
        return agent

    async def end(self):
        for c in self.conns.values():
            if c.established and c.rport is not None:
                with contextlib.suppress(Exception):
                    c.tx("R", seq=c.snd_nxt)
        for agent in [self.agent] + self.extra_agents:
            if agent is not None:
                await self.device.give_back(agent)
        for address in self.hosts:
            self.wire.hosts.pop(address, None)

    def allow(self, *words):
        """The case provokes findings that contain these words."""
        self.allowed += words

    def fault(self, what, p):
        if not any(w in what for w in self.allowed):
            self.found.setdefault(what, p)

    # -- what arrives

    def arrived(self, p, frame):
        self.trace.append(("<", frame, p.when))
        if p.protocol == pk.TCP and not p.fragment:
            c = self.conns.get((p.dst, p.dport, p.sport))
            if c is None and p.flags == "S" or c is None and "S" in p.flags and "A" not in p.flags:
                c = self.conns.pop((p.dst, p.dport, None), None)
                if c is not None:
                    c.rport = p.sport
                    self.conns[p.dst, p.dport, p.sport] = c
            if c is not None:
                c.arrived(p)
                return
        for fault in p.faults:
            self.fault(fault, p)
        self.others.append(p)
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def other(self, test=lambda p: True, within=1.0, what="a packet that belongs to no connection"):
        """The first of the packets that belong to no connection for which test is true."""
        end = asyncio.get_running_loop().time() + within
        while True:
            while self.others:
                p = self.others.popleft()
                if test(p):
                    return p
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                raise Failure(f"not within {within} s: {what}")
            self.waiter = asyncio.get_running_loop().create_future()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.waiter, left)

    async def nothing(self, seconds=0.2):
        """Demands that no segment comes that belongs to no connection."""
        with contextlib.suppress(Failure):
            p = await self.other(lambda p: p.protocol == pk.TCP, within=seconds)
            raise AssertionError(f"wanted silence, found TCP {p.flags} from {pk.text(p.src)} to {pk.text(p.dst)}")

    # -- what leaves

    def send_ip(self, protocol, payload, *, src=None, dst=None, dst_mac=None, **words):
        src, dst = src or self.peer, dst or self.dut_addr
        self.send_frame(pk.ethernet(dst_mac or self.device.mac, MAC, pk.ip(src, dst, protocol, payload, **words)))

    def send_frame(self, frame):
        self.trace.append((">", frame, None))
        self.wire.send(frame)

    def icmp(self, kind, code, quoted, rest=b"\0\0\0\0", src=None):
        """An ICMP error (4 or 6 by the case's family) about a packet of the device."""
        src = src or self.peer
        if self.family == 4:
            self.send_ip(pk.ICMP, pk.icmp4(kind, code, rest, quoted), src=src)
        else:
            self.send_ip(pk.ICMP6, pk.icmp6(src, self.dut_addr, kind, code, rest, quoted), src=src)

    def quote(self, c, seq, data=8, ack=0):
        """The beginning of a segment of the device as an ICMP error quotes it; seq is relative."""
        segment = pk.tcp(self.dut_addr, c.src, c.rport, c.lport, (c.irs + seq) % MOD, (c.iss + ack) % MOD, "A", 1000,
                         bytes(64))[:data]
        if self.family == 4:
            whole = pk.ip4(self.dut_addr, c.src, pk.TCP, segment + bytes(64))
        else:
            whole = pk.ip6(self.dut_addr, c.src, pk.TCP, segment, length=100)
            return whole
        return whole[:20 + data]

    def frag_needed(self, c, mtu, seq, src=None):
        """"Fragmentation needed", or "packet too big"."""
        if self.family == 4:
            self.icmp(3, 4, self.quote(c, seq), struct.pack("!HH", 0, mtu), src)
        else:
            self.icmp(2, 0, self.quote(c, seq, 20), struct.pack("!I", mtu), src)

    # -- connections

    def conn(self, lport=None, rport=None, host=None):
        """A connection of the peer that has not begun; rport None: the device will."""
        if lport is None:
            lport = next(p for p in iter(lambda: self.random.randrange(20000, 60000), 0)
                         if not any(k[1] == p for k in self.conns))
        c = Conn(self, lport, rport, host)
        self.conns[c.src, lport, rport] = c
        return c

    async def listen(self, *, port=None, backlog=64, name="l", options=None):
        """The agent listens; options are set before."""
        port = port or self.port
        await self.agent.ok(f"socket {name}")
        for key, value in (options or {}).items():
            await self.agent.ok(f"setopt {name} {key} {value}")
        await self.agent.ok(f"bind {name} {'::' if self.family == 6 else '0.0.0.0'} {port}")
        await self.agent.ok(f"listen {name} {backlog}")
        self.listening = port
        return port

    async def passive(self, *, name="a", win=None, accept=True, options=None, set_=None, host=None, **syn):
        """A connection that the peer opened and the agent accepted as `name`. options: of the listener."""
        if getattr(self, "listening", None) is None:
            await self.listen(options=options)
        c = self.conn(rport=self.listening, host=host)
        if win is not None:
            c.win = win
        await c.open(**syn)
        if accept:
            await self.agent.ok(f"accept l {name}")
        for key, value in (set_ or {}).items():
            await self.agent.ok(f"setopt {name} {key} {value}")
        return c

    async def active(self, *, name="a", win=None, options=None, flags="SA", **syn):
        """A connection that the agent opened as `name`."""
        c, future = await self.connecting(name=name, options=options)
        if win is not None:
            c.win = win
        c.syn = await c.answer(flags=flags, **syn)
        await self.agent.done(future)
        return c

    async def connecting(self, *, name="a", options=None, lport=None):
        """A connect under way: (Conn, the agent's future)."""
        c = self.conn(lport=lport)
        await self.agent.ok(f"socket {name}")
        for key, value in (options or {}).items():
            await self.agent.ok(f"setopt {name} {key} {value}")
        return c, self.agent.start(f"connect {name} {self.peer_text} {c.lport}")

    async def established(self, how, **words):
        return await (self.active if how == "active" else self.passive)(**words)

    async def delivered(self, data, name="a"):
        """The agent reads exactly this."""
        got = await self.agent.ok(f"recv {name} {len(data)}")
        equal(got, [data.hex()], "what the application read")

    # -- telling

    def story(self, lines=40):
        """What went over the wire, as text."""
        told, names = [], {}
        first = next((w for _, _, w in self.trace if w), None)
        for _, frame, _ in self.trace:
            p = pk.parse(frame, 0)
            if p.protocol == pk.TCP and not p.fragment:
                names.setdefault((p.src, p.dst, p.sport, p.dport), p.seq)
        for way, frame, when in list(self.trace)[-lines:]:
            p = pk.parse(frame, 0)
            at = f"{(when - first) / 1e6:9.1f} ms" if when else " " * 12
            told.append(f"{way} {at} {self._words(p, names)}")
        return told

    def _words(self, p, names):
        if p.protocol != pk.TCP or p.fragment:
            return f"protocol {p.protocol}, {len(p.payload)} bytes, {p.payload[:2].hex()}"
        key = (p.src, p.dst, p.sport, p.dport)
        base = names.setdefault(key, p.seq)
        other = names.get((p.dst, p.src, p.dport, p.sport), 0)
        opts = " ".join(f"{k}:{d.hex()}" for k, d in p.options)
        return (f"{p.sport} > {p.dport}{'' if self.dut_addr in (p.src, p.dst) else ' ' + pk.text(p.dst)} {p.flags} seq {pk.distance(p.seq, base)} ack {pk.distance(p.ack, other)} "
                f"win {p.win} len {len(p.data)} {opts}")
