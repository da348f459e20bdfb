# SPDX-License-Identifier: Apache-2.0
"""Congestion control as it shows on the wire: growth, reduction, idleness, ECN, DCTCP."""
import asyncio

import packet as pk
from case import case, pattern
from cases_loss import RTT_S, after, grown, round_trip, sending
from cases_window import segment
from peer import between, equal, expect
from receiver import Receiver


async def take_all(c, r, flight):
    """The flight arrives, an ACK for every second segment."""
    for i, p in enumerate(flight):
        r.take(p)
        if i % 2 == 1 or i == len(flight) - 1:
            r.ack()


async def rounds(c, r, flight, n):
    """Lets n flights arrive without loss; returns how many segments each of the following had."""
    sizes = []
    for _ in range(n):
        await take_all(c, r, flight)
        flight = await round_trip(c, r)
        sizes.append(len(flight))
    return sizes, flight


@case("RFC-5681 MUST-19 RFC-9438", "slow start: at most doubled in a round trip, and more than half as much again", families="46",
      seconds=2)
async def slow_start(t):
    c, r, flight = await sending(t, 2000000)
    sizes = [len(flight)] + (await rounds(c, r, flight, 2))[0]
    for i, n in enumerate(sizes[1:]):  # a flight may begin while the one before ends: two together
        between(1, n, 2 * max(sizes[:i + 1]) + 4, f"segments in round trip {i + 2}: {sizes}")
    expect(sum(sizes) >= 45, f"it does not double: {sizes}")


async def avoiding(t, congestion, **words):
    """After one loss and the recovery from it: (Conn, Receiver, flight, segments when the loss happened)."""
    await t.listen(options={"congestion": congestion})
    c, r, flight = await grown(t, 1, 4000000, **words)
    hole, n = c.rel_seq(flight[0]), len(flight)
    await after(c, r, flight, [hole])
    flight = await round_trip(c, r)
    await take_all(c, r, [p for p in flight])
    flight = await round_trip(c, r)
    return c, r, flight, n


@case("RFC-5681 MUST-19 MAY-18", "Reno: a loss halves the window, then it grows by one segment in a round trip", seconds=3,
      families="46")
async def reno(t):
    c, r, flight, n = await avoiding(t, "reno")
    sizes, _ = await rounds(c, r, flight, 6)
    between(0.4 * n, sizes[0], 0.6 * n + 3, f"segments after the loss of one of {n}; then {sizes}")
    between(2, sizes[5] - sizes[0], 7, f"more segments after five round trips: {sizes}")


@case("RFC-9438 MUST-19", "CUBIC: a loss takes three tenths of the window", seconds=3, families="46")
async def cubic(t):
    c, r, flight, n = await avoiding(t, "cubic")
    sizes, _ = await rounds(c, r, flight, 2)
    between(0.6 * n, sizes[0], 0.8 * n + 3, f"segments after the loss of one of {n}; then {sizes}")


@case("RFC-9438 RFC-5681", "no loss, no congestion: what the application does not use does not grow the window", seconds=3)
async def application_limited(t):
    c = await t.passive(rtt=RTT_S)
    c.win = 1 << 20
    c.tx()
    r = Receiver(c)
    for _ in range(12):
        t.agent.start("sendn a 2920")
        flight = await round_trip(c, r)
        await take_all(c, r, flight)
    t.agent.start("sendn a 200000")
    flight = await round_trip(c, r)
    between(9, len(flight), 24, "segments, after twelve round trips of two")


@case("RFC-5681 RFC-6928", "after an idle time of more than an RTO the first flight is ten segments again", seconds=4)
async def idle_restart(t):
    c, r, flight = await sending(t, 70 * 1460)
    sizes, flight = await rounds(c, r, flight, 2)
    await take_all(c, r, flight)
    await r.run(70 * 1460 + 1 - c.rcv_nxt) if c.rcv_nxt <= 70 * 1460 else None
    await t.agent.done(c.sending)
    expect(max(sizes) >= 25, f"it did not grow: {sizes}")
    await asyncio.sleep(1.2)
    t.agent.start("sendn a 200000")
    flight = await round_trip(c, r)
    between(1, len(flight), 10, f"segments after the pause, {sizes} before")


@case("RFC-9406 RFC-9438", "HyStart: when the round trip grows, slow start ends before anything is lost", seconds=4)
async def hystart(t):
    c, r, flight = await sending(t, 4000000)
    sizes, flight = await rounds(c, r, flight, 2)
    for extra in (0.03, 0.06, 0.09):
        await asyncio.sleep(extra)
        one, flight = await rounds(c, r, flight, 1)
        sizes += one
    growth = [b / a for a, b in zip(sizes, sizes[1:])]
    expect(growth[-1] < 1.5, f"still growing like slow start: {sizes}")


@case("BBR MAY-18", "BBR spreads a flight over the round trip, and a single loss takes little", seconds=3)
async def bbr(t):
    await t.listen(options={"congestion": "bbr"})
    c, r, flight = await sending(t, 4000000)
    _, flight = await rounds(c, r, flight, 4)
    n = len(flight)
    spread = (flight[-1].when - flight[0].when) / 1e6
    expect(spread > 4, f"{n} segments within {spread:.1f} ms of a round trip of 40")
    await after(c, r, flight, [c.rel_seq(flight[0])])
    flight = await round_trip(c, r)
    await take_all(c, r, flight)
    flight = await round_trip(c, r)
    expect(len(flight) >= 0.6 * n, f"{len(flight)} segments after the loss of one of {n}")


# ---- ECN ---------------------------------------------------------------------------------------------------


def ect(p):
    return p.ecn in (1, 2)


@case("RFC-3168 SHLD-8", "ECN is agreed on by ECE and CWR in the SYN, ECE in the SYN-ACK", profile="ecn", families="46")
async def ecn_handshake(t):
    c = t.conn(rport=await t.listen())
    p = await c.open(flags="SEC")
    expect(p.has("E") and not p.has("C"), f"SYN-ACK has {p.flags}")
    equal(p.ecn, 0, "the code point of the SYN-ACK")
    c = t.conn(rport=t.port)
    p = await c.open()
    expect(not p.has("E") and not p.has("C"), f"SYN-ACK to a SYN without ECN has {p.flags}")
    a, connecting = await t.connecting()
    p = await a.rx("S")
    expect(p.has("E") and p.has("C"), f"SYN has {p.flags}")
    equal(p.ecn, 0, "the code point of the SYN")
    a.tx("SAE", options=a.syn_options(), ts=None)
    a.agree(p)
    await a.rx("A")
    await t.agent.done(connecting)
    await t.agent.ok("sendn a 100")
    p = await a.rx("A", length=100)
    expect(ect(p), "data is not marked as capable")


@case("RFC-3168 SHLD-8", "a SYN-ACK without ECE, or with ECE and CWR, agrees to nothing", profile="ecn", families="46")
async def ecn_refused(t):
    for i, flags in enumerate(("SA", "SAEC")):
        c, connecting = await t.connecting(name=f"e{i}")
        p = await c.rx("S")
        c.tx(flags, options=c.syn_options(), ts=None)
        c.agree(p)
        await c.rx("A")
        await t.agent.done(connecting)
        await t.agent.ok(f"sendn e{i} 100")
        p = await c.rx("A", length=100)
        equal(p.ecn, 0, f"code point of data after {flags}")


@case("RFC-3168", "a SYN with ECN that goes unanswered is repeated without it", profile="ecn", seconds=3)
async def ecn_fallback(t):
    c, connecting = await t.connecting()
    await c.rx("S")
    again = await c.rx("S", within=2)
    if again.has("E"):
        again = await c.rx("S", within=4)
    expect(not again.has("E") and not again.has("C"), f"the repeated SYN has {again.flags}")
    c.tx("RA", seq=0, ack=1)


@case("RFC-3168", "only new data is ECN-capable: not pure ACKs, not retransmissions, not probes", profile="ecn", families="46",
      seconds=2)
async def ecn_code_points(t):
    c = t.conn(rport=await t.listen())
    await c.open(flags="SEC", sack=False)
    await t.agent.ok("accept l a")
    c.tx("PA", b"x")
    p = await c.acked()
    equal(p.ecn, 0, "code point of a pure ACK")
    await t.agent.ok("sendn a 100")
    p = await c.rx("A", length=100)
    expect(ect(p), "new data is not capable")
    c.rcv_nxt = 1
    p = await c.until(lambda p: p.data, 2, "a retransmission")
    equal(p.ecn, 0, "code point of a retransmission")


@case("RFC-3168", "CE is echoed on every ACK until CWR comes", profile="ecn", families="46")
async def ecn_echo(t):
    c = t.conn(rport=await t.listen())
    await c.open(flags="SEC")
    await t.agent.ok("accept l a")
    c.tx("PA", b"a" * 100, ip={"tos": 2})
    p = await c.acked()
    expect(not p.has("E"), "ECE without a mark")
    c.tx("PA", b"b" * 100, ip={"tos": 3})
    p = await c.acked()
    expect(p.has("E"), "no ECE after CE")
    for _ in range(3):
        c.tx("PA", b"c" * 100, ip={"tos": 2})
        p = await c.acked()
        expect(p.has("E"), "ECE ends before CWR")
    c.tx("PAC", b"d" * 100, ip={"tos": 2})
    p = await c.acked()
    expect(not p.has("E"), "ECE after CWR")


@case("RFC-3168 RFC-5681", "ECE reduces the window once in a round trip, and CWR goes with the next new data", profile="ecn",
      families="46", seconds=3)
async def ecn_reaction(t):
    await t.listen()
    c, r, flight = await grown(t, 1, 2000000, flags="SEC")
    n = len(flight)
    for p in flight:
        r.take(p)
        c.tx("AE")
    flight = await round_trip(c, r)
    between(0.3 * n, len(flight), 0.9 * n + 1, f"segments after ECE, {n} before")
    expect(flight[0].has("C"), "no CWR on the next new data")
    expect(sum(p.has("C") for p in flight) == 1, "CWR on more than one segment")
    between(0, sum(c.rel_seq(p) < c.rcv_nxt for p in flight), 0, "retransmissions")
    m = len(flight)
    await take_all(c, r, flight)
    flight = await round_trip(c, r)
    expect(len(flight) >= 0.8 * m, f"{len(flight)} segments without further marks, {m} before")


@case("RFC-3168", "without ECN agreed on, CE means nothing", profile="ecn")
async def ecn_unagreed(t):
    c = await t.passive()
    c.tx("PA", b"x", ip={"tos": 3})
    p = await c.acked()
    expect(not p.has("E"), "ECE although ECN was not agreed on")


@case("RFC-3168", "by default ECN is not offered")
async def ecn_default(t):
    c, _ = await t.connecting()
    p = await c.rx("S")
    expect(not p.has("E") and not p.has("C"), f"SYN has {p.flags}")
    c.tx("RA", seq=0, ack=1)


async def dctcp_connection(t, n, **words):
    await t.listen(options={"congestion": "dctcp"})
    return await grown(t, 1, n, flags="SEC", **words)


@case("RFC-8257", "DCTCP, the receiver: ECE follows each segment's mark exactly", profile="ecn",
      mango_only="this kernel has no DCTCP")
async def dctcp_receiver(t):
    await t.listen(options={"congestion": "dctcp"})
    c = t.conn(rport=t.port)
    await c.open(flags="SEC")
    await t.agent.ok("accept l a")
    for mark in (0, 1, 1, 0, 1, 0, 0, 1):
        start = c.snd_nxt
        c.tx("PA", bytes(100), ip={"tos": 3 if mark else 2})
        p = await c.acked()
        equal(p.has("E"), bool(mark), f"ECE for the segment at {start}")


@case("RFC-8257", "DCTCP, the receiver: a change of marks is acknowledged at once, each ACK has one kind", profile="ecn",
      mango_only="this kernel has no DCTCP")
async def dctcp_delayed_acks(t):
    await t.listen(options={"congestion": "dctcp"})
    c = t.conn(rport=t.port)
    await c.open(flags="SEC")
    await t.agent.ok("accept l a")
    marks = (0, 0, 0, 1, 1, 1, 0, 0)
    for mark in marks:
        c.tx("A", bytes(500), ip={"tos": 3 if mark else 2})
    at, told = 1, []
    while at < c.snd_nxt:
        p = await c.rx("A")
        told += [p.has("E")] * ((c.rel_ack(p) - at) // 500)
        at = c.rel_ack(p)
    equal(told, [bool(m) for m in marks], "ECE by segment")


@case("RFC-8257", "DCTCP, the sender: all marked halves the window, few marks take little", profile="ecn", seconds=3,
      mango_only="this kernel has no DCTCP")
async def dctcp_sender(t):
    c, r, flight = await dctcp_connection(t, 4000000)
    n = len(flight)
    for _ in range(14):  # alpha goes to 1
        for p in flight:
            r.take(p)
            c.tx("AE")
        flight = await round_trip(c, r)
        if len(flight) <= 4:
            break
    expect(len(flight) <= 5, f"{len(flight)} segments after fourteen round trips of marks, {n} before")
