# SPDX-License-Identifier: Apache-2.0
"""The far end of the wire: a raw socket that plays any number of hosts, and what is true of every packet seen.

Peer    one raw socket on one end of a veth; each host (an address of its own) belongs to one Test, so cases run side by
        side without knowing of each other. Answers ARP and neighbour solicitations for them.
Watch   what must hold for every segment that the device sends, whatever the case is about.
Conn    one connection as the peer plays it. Numbers are relative: the SYN of either side is 0.
"""
import asyncio
import collections
import ctypes
import os
import socket
import struct
import time

import packet as pk
from packet import MOD, Packet, distance

SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
PACKET_OUTGOING = 4
CLONE_NEWNET = 0x40000000
MAC = bytes.fromhex("02770000aa01")
AUTO = object()
_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """What the case expected did not happen."""


class Skip(Exception):
    """Cannot be tried on this device or machine; the text says why."""


def expect(condition, what):
    if not condition:
        raise Failure(what)


def equal(found, wanted, what):
    if found != wanted:
        raise Failure(f"{what}: found {found!r}, wanted {wanted!r}")


def between(low, value, high, what):
    if not low <= value <= high:
        raise Failure(f"{what}: found {value:.6g}, wanted {low:.6g} to {high:.6g}")


def socket_in(namespace, *words):
    """A socket of another network namespace."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + namespace, os.O_RDONLY)
    try:
        if _libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return socket.socket(*words)
        finally:
            if _libc.setns(here, CLONE_NEWNET) != 0:
                os._exit(1)  # there is no way to go on in the wrong namespace
    finally:
        os.close(here)
        os.close(there)


class Peer:
    def __init__(self, namespace, interface):
        self.sock = socket_in(namespace, socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.setblocking(False)
        self.sock.bind((interface, 3))  # ETH_P_ALL
        self.hosts = {}  # address -> Test
        self.seen = self.sent = 0
        self.taps = []  # functions of (frame, when) that see everything
        asyncio.get_running_loop().add_reader(self.sock.fileno(), self._readable)

    def close(self):
        asyncio.get_running_loop().remove_reader(self.sock.fileno())
        self.sock.close()

    def send(self, frame):
        self.sent += 1
        for _ in range(200):
            try:
                self.sock.send(frame)
                return
            except (BlockingIOError, OSError) as e:
                if isinstance(e, BlockingIOError) or e.errno == 105:  # the queue is full: it drains in no time
                    time.sleep(0.0005)
                    continue
                raise
        raise Failure("the wire does not take packets any more")

    def _readable(self):
        for _ in range(128):
            try:
                frame, control, _, where = self.sock.recvmsg(65600, 64)
            except BlockingIOError:
                return
            if where[2] == PACKET_OUTGOING:
                continue
            sec, nsec = struct.unpack("qq", control[0][2][:16]) if control else divmod(time.time_ns(), 10**9)
            self.seen += 1
            try:
                self._receive(frame, sec * 10**9 + nsec)
            except (struct.error, IndexError, ValueError):
                continue  # none of ours

    def _receive(self, frame, when):
        for tap in self.taps:
            tap(frame, when)
        p = pk.parse(frame, when)
        if p is None:
            return
        if p.ethertype == pk.ETH_ARP:
            self._arp(p)
            return
        if p.protocol == pk.ICMP6 and p.payload[:1] == b"\x87":
            self._solicitation(p)
            return
        host = self.hosts.get(p.dst)
        if host is not None:
            host.arrived(p, frame)

    def _arp(self, p):
        host = self.hosts.get(p.dst)
        if p.arp_op == 1 and host is not None:
            host.asked += 1
            if not host.silent:
                self.send(pk.ethernet(p.arp_sha, MAC, pk.arp(2, MAC, p.dst, p.arp_sha, p.src), pk.ETH_ARP))

    def _solicitation(self, p):
        target = p.payload[8:24]
        host = self.hosts.get(target)
        if host is None:
            return
        host.asked += 1
        if host.silent or p.src == bytes(16):
            return
        body = pk.icmp6(target, p.src, 136, 0, struct.pack("!I", 0x60000000), target + b"\2\1" + MAC)
        self.send(pk.ethernet(p.src_mac, MAC, pk.ip6(target, p.src, pk.ICMP6, body, ttl=255)))


# ---- invariants ------------------------------------------------------------------------------------------


class Watch:
    """One connection seen from the peer: judges each segment of the device."""

    def __init__(self, conn):
        self.conn = conn
        self.offer = {}  # what the device's SYN said
        self.edge = None  # the right edge of its window, absolute
        self.was_ts = False

    def judge(self, p):
        """Names of rules that the segment breaks."""
        found = list(p.faults)
        is_syn = "S" in p.flags
        if p.mss is not None and not is_syn:
            found.append("MUST-65: MSS on a segment without SYN")
        for kind, what in ((pk.WSCALE, "window scale"), (pk.SACK_OK, "SACK-permitted")):
            if p.option(kind) is not None and not is_syn:
                found.append(f"{what} on a segment without SYN")
        for kind, length in ((pk.MSS, 2), (pk.WSCALE, 1), (pk.SACK_OK, 0), (pk.TS, 8)):
            data = p.option(kind)
            if data is not None and len(data) != length:
                found.append(f"MUST-68: option {kind} has {len(data) + 2} bytes")
        if p.wscale is not None and p.wscale > 14:
            found.append("RFC 7323: window scale above 14")
        if p.sack and len(p.sack) > (3 if p.ts else 4):
            found.append("RFC 2018: too many SACK blocks")
        if "U" not in p.flags and p.urg != 0:
            found.append("an urgent pointer without URG")
        if "A" not in p.flags and p.ack != 0:
            found.append("an acknowledgement number without ACK")
        if "S" in p.flags and "F" in p.flags:
            found.append("SYN and FIN together")
        if is_syn:
            self.offer = {"mss": p.mss, "wscale": p.wscale, "ts": p.ts is not None,
                          "sack": p.option(pk.SACK_OK) is not None}
        self._numbers(p, found)
        return found

    def _numbers(self, p, found):
        c = self.conn
        if c.established and "R" not in p.flags:
            if c.ts_on and p.ts is None:
                found.append("RFC 7323: a segment without timestamps")
            if not c.ts_on and p.ts is not None and "S" not in p.flags:
                found.append("RFC 7323: timestamps that were not negotiated")
            if p.sack and not c.sack_on:
                found.append("RFC 2018: SACK that was not negotiated")
        if len(p.data) > max(c.mss_limit - (len(p.raw_options)), 1):
            found.append(f"MUST-14: {len(p.data)} bytes of data, the offer was {c.mss_limit}")
        if "A" in p.flags and "R" not in p.flags and c.sent_end is not None:
            if distance(p.ack, c.sent_end) > 0:
                found.append("acknowledges what was never sent")
            self._right_edge(p, found)
        if "S" not in p.flags and p.data and c.our_edge is not None:
            over = distance((p.seq + len(p.data)) % MOD, c.our_edge)
            if over > 1:  # a probe of one byte may
                found.append(f"{over} bytes beyond the window")

    def _right_edge(self, p, found):
        shift = 0 if "S" in p.flags else self.conn.their_shift
        edge = (p.ack + (p.win << shift)) % MOD
        if self.edge is None or distance(edge, self.edge) > 0:
            self.edge = edge
        elif distance(self.edge, edge) >= max(1 << shift, 1) and "S" not in p.flags:
            found.append(f"SHLD-14: the right edge went {distance(self.edge, edge)} bytes left")


# ---- a connection ----------------------------------------------------------------------------------------


class Conn:
    """One connection, as the peer plays it."""

    def __init__(self, test, lport, rport=None, host=None):
        self.test, self.lport, self.rport = test, lport, rport
        self.src, self.dst = test.peer, test.dut_addr
        if host is not None:
            self.src = host
        self.iss = test.random.getrandbits(32)
        self.irs = None
        self.snd_nxt = self.rcv_nxt = 0
        self.win = 65535  # bytes that we advertise
        self.our_shift = self.their_shift = 0
        self.mss = 1460
        self.mss_limit = 65535
        self.ts_on = self.sack_on = self.established = False
        self.ts_base = test.random.getrandbits(31)
        self.their_ts = 0
        self.sent_end = self.our_edge = None
        self.ip = {}  # fields of the IP header that we send with
        self.queue = collections.deque()
        self.waiter = None
        self.watch = Watch(self)
        self.snd_una = 0

    # -- what arrives

    def arrived(self, p):
        p.conn = self
        if "S" in p.flags and not self.established:
            self.irs = p.seq
        if p.ts:
            self.their_ts = p.ts[0]
        for fault in self.watch.judge(p):
            self.test.fault(fault, p)
        if "A" in p.flags:
            self.snd_una = max(self.snd_una, self.rel_ack(p))
        self.queue.append(p)
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def rel_seq(self, p):
        return distance(p.seq, self.irs) if self.irs is not None else 0

    def rel_ack(self, p):
        return distance(p.ack, self.iss)

    def took(self, p):
        """The peer's stack has this segment now; p.old: it brought nothing new."""
        p.old = self.is_old(p)
        seq = self.rel_seq(p)
        if p.span and "R" not in p.flags and seq <= self.rcv_nxt:
            self.rcv_nxt = max(self.rcv_nxt, seq + p.span)

    async def next(self, within):
        """The next segment, or None after that many seconds."""
        end = time.monotonic() + within
        while not self.queue:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.waiter = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait_for(self.waiter, left)
            except asyncio.TimeoutError:
                if not self.queue:
                    return None
        return self.queue.popleft()

    async def rx(self, flags=None, *, seq=None, ack=None, length=None, data=None, within=1.5, skip=None,
                 dups=False):
        """Waits for the next segment and demands what is given. flags: those of S F R A U that are set, no others.

        skip(p) true: this one is passed over; so is data that came before, unless dups: the peer may be slow in the eyes
        of a device that is used to a round trip of some microseconds, and be probed.
        """
        wanted = " ".join(str(x) for x in (flags, f"seq {seq}" if seq is not None else None,
                                           f"ack {ack}" if ack is not None else None,
                                           f"{length} bytes" if length is not None else None) if x is not None)
        end = time.monotonic() + within
        while True:
            p = await self.next(end - time.monotonic())
            if p is None:
                raise Failure(f"no segment within {within} s, wanted: {wanted or 'any'}")
            if (skip is None or not skip(p)) and (dups or not self.is_old(p)):
                break
        self.took(p)
        self._demand(p, wanted, flags, seq, ack, length if data is None else len(data))
        if data is not None:
            equal(p.data, data, "data")
        return p

    def _demand(self, p, wanted, flags, seq, ack, length):
        found = self.describe(p)
        if flags is not None:
            core = [x for x in p.flags if x in "SFRAU"]
            expect(sorted(core) == sorted(x for x in flags if x in "SFRAU"), f"wanted {wanted}, found {found}")
            expect(p.has([x for x in flags if x in "PEC"]), f"wanted {wanted}, found {found}")
        for have, want in ((self.rel_seq(p), seq), (self.rel_ack(p), ack), (len(p.data), length)):
            expect(want is None or have == want, f"wanted {wanted}, found {found}")

    def describe(self, p):
        """One segment in words."""
        return f"{p.flags} seq {self.rel_seq(p)} ack {self.rel_ack(p) if 'A' in p.flags else '-'}, {len(p.data)} bytes"

    def is_old(self, p):
        """Data that came before."""
        return bool(p.data) and p.flags.strip("P") == "A" and self.rel_seq(p) + len(p.data) <= self.rcv_nxt

    async def none(self, seconds=0.1, but=None, dups=False):
        """Demands silence. but(p) true: this one does not count; nor does data that came before, unless dups."""
        end = time.monotonic() + seconds
        while True:
            p = await self.next(end - time.monotonic())
            if p is None:
                return
            self.took(p)
            if (dups or not p.old) and (but is None or not but(p)):
                raise Failure(f"wanted silence, found {self.describe(p)}")

    async def all(self, seconds):
        """What comes in that time."""
        found = []
        end = time.monotonic() + seconds
        while True:
            p = await self.next(end - time.monotonic())
            if p is None:
                return found
            self.took(p)
            found.append(p)

    async def flight(self, quiet=0.03, gap=0.001):
        """The data segments of one burst: all that leaves before the device pauses (on its clock, for `gap`)."""
        found = [await self.until(lambda p: p.data, what="data")]
        while True:
            p = await self.next(quiet)
            if p is None or p.when - found[-1].when > gap * 1e9:
                if p is not None:
                    self.queue.appendleft(p)
                return found
            self.took(p)
            if p.data and not p.old:
                found.append(p)

    async def until(self, test, within=2.0, what="the segment waited for"):
        """The first segment for which test(p) is true."""
        end = time.monotonic() + within
        while True:
            p = await self.next(end - time.monotonic())
            if p is None:
                raise Failure(f"not within {within} s: {what}")
            self.took(p)
            if test(p):
                return p

    async def data(self, n, within=3.0, ack=True, every=1):
        """n bytes of the stream from rcv_nxt on, acknowledged as they come; returns the segments."""
        segments, start, end = [], self.rcv_nxt, time.monotonic() + within
        while self.rcv_nxt < start + n:
            p = await self.next(end - time.monotonic())
            if p is None:
                raise Failure(f"{self.rcv_nxt - start} of {n} bytes within {within} s")
            self.took(p)
            if p.data:
                segments.append(p)
                if ack and (len(segments) % every == 0 or self.rcv_nxt >= start + n):
                    self.tx()
        return segments

    async def acked(self, upto=None, within=1.0):
        """Waits until the device acknowledged everything (or that much); returns the segment that did."""
        upto = self.snd_nxt if upto is None else upto
        return await self.until(lambda p: "A" in p.flags and self.rel_ack(p) >= upto, within,
                                f"an acknowledgement of {upto}")

    # -- what leaves

    def clock(self):
        return (self.ts_base + time.monotonic_ns() // 1000000) % MOD

    def tx(self, flags="A", data=b"", *, seq=None, ack=None, win=None, options=b"", ts=AUTO, urg=0, ip=None, **tcp_words):
        """Sends a segment; without seq in sequence (and moves on). win is in bytes. ts: None, or (val, ecr)."""
        segment = self.segment(flags, data, seq=seq, ack=ack, win=win, options=options, ts=ts, urg=urg, **tcp_words)
        self.test.send_ip(pk.TCP, segment, src=self.src, dst=self.dst, **{**self.ip, **(ip or {})})
        if seq is None:
            self.snd_nxt += len(data) + ("S" in flags) + ("F" in flags)
        return self

    def segment(self, flags="A", data=b"", *, seq=None, ack=None, win=None, options=b"", ts=AUTO, urg=0, **tcp_words):
        """The bytes of such a segment; nothing is sent, and it counts as sent."""
        seq = self.snd_nxt if seq is None else seq
        ack = (self.rcv_nxt if ack is None else ack) if "A" in flags else None
        win = self.win if win is None else win
        shift = 0 if "S" in flags else self.our_shift
        if ts is AUTO:
            ts = (self.clock(), self.their_ts) if self.ts_on and "R" not in flags else None
        if ts is not None:
            options = b"\1\1" + pk.timestamps(*ts) + options
        number = 0 if ack is None else ((self.irs or 0) + ack) % MOD
        self._note(seq, len(data) + ("S" in flags) + ("F" in flags), number, win, flags)
        return pk.tcp(self.src, self.dst, self.lport, self.rport, self.iss + seq, number, flags,
                      min(win >> shift, 65535), data, options, urg, **tcp_words)

    def _note(self, seq, span, number, win, flags):
        end = (self.iss + seq + span) % MOD
        if self.sent_end is None or distance(end, self.sent_end) > 0:
            self.sent_end = end
        if "A" in flags and "R" not in flags:
            edge = (number + win) % MOD
            if self.our_edge is None or distance(edge, self.our_edge) > 0:
                self.our_edge = edge

    def write(self, data, size=None, **words):
        """Data in segments of the device's MSS (or `size`), PSH on the last."""
        size = size or min(self.mss, self.watch.offer.get("mss") or 536) - (12 if self.ts_on else 0)
        for i in range(0, len(data), size):
            last = i + size >= len(data)
            self.tx("PA" if last else "A", data[i:i + size], **words)

    def sack_option(self, *blocks):
        """Of the device's data, relative."""
        return b"\1\1" + pk.sack(*((self.irs + a, self.irs + b) for a, b in blocks))

    def rel_sack(self, p):
        """The blocks of a segment, relative to our numbers."""
        return [(distance(a, self.iss), distance(b, self.iss)) for a, b in p.sack]

    # -- handshakes

    def syn_options(self, mss=1460, wscale=7, sack=True, ts=False, more=b""):
        self.mss_limit = mss if mss is not None else (536 if len(self.dst) == 4 else 1220)
        self.mss = self.mss_limit
        options = pk.mss(mss) if mss is not None else b""
        if sack:
            options += b"\1\1" + pk.opt(pk.SACK_OK)
        if ts:
            options += b"\1\1" + pk.timestamps(self.clock(), self.their_ts)
        if wscale is not None:
            options += b"\1" + pk.wscale(wscale)
        self.wanted = (wscale, sack, ts)
        return options + more

    def agree(self, p):
        """Takes over what the two SYNs agreed on; p is the device's."""
        shift, sack, ts = self.wanted
        self.ts_on = ts and p.ts is not None
        self.sack_on = sack and p.option(pk.SACK_OK) is not None
        if shift is not None and p.wscale is not None:
            self.our_shift, self.their_shift = min(shift, 14), min(p.wscale, 14)
        self.established = True

    async def open(self, *, ack=True, flags="S", data=b"", win=None, rtt=0, acked=None, **options):
        """A connection to the device: SYN, SYN-ACK, ACK (after rtt seconds). Returns the SYN-ACK."""
        self.tx(flags, data, options=self.syn_options(**options), ts=None, win=win)
        if data:
            self.snd_nxt -= len(data)
        p = await self.rx("SA", ack=acked if acked is not None else None if data else 1)
        self.agree(p)
        await asyncio.sleep(rtt)
        if ack:
            self.tx(win=win)
        return p

    async def answer(self, *, flags="SA", win=None, **options):
        """A connection from the device: waits for its SYN, answers, waits for the ACK. Returns the SYN."""
        p = await self.rx("S", within=3)
        self.tx(flags, options=self.syn_options(**options), ts=None, win=win)
        self.agree(p)
        await self.rx("A", seq=1, ack=1)
        return p
