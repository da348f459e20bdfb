# SPDX-License-Identifier: Apache-2.0
"""ICMP: soft and hard errors, forged ones, the path's MTU, echo."""
import asyncio
import struct

import packet as pk
from case import case, pattern
from peer import Skip, between, equal, expect

# (type, code) by family: what they mean
SOFT = {4: ((3, 0), (3, 1), (3, 5), (11, 0), (11, 1), (12, 0)), 6: ((1, 0), (1, 3), (3, 0), (4, 0))}
HARD = {4: ((3, 2), (3, 3)), 6: ((1, 1), (1, 4))}


@case("MUST-56 MUST-54 RFC-5927", "soft errors end no established connection", families="46")
async def soft_errors_established(t):
    c = await t.passive()
    await t.agent.ok("sendn a 100")
    await c.rx("A", length=100)
    for kind, code in SOFT[t.family]:
        t.icmp(kind, code, t.quote(c, 1, 20))
    await asyncio.sleep(0.05)
    c.tx()
    c.tx("PA", b"alive")
    await c.acked()
    await t.delivered(b"alive")


@case("SHLD-26 RFC-5927", "hard errors end no established connection either", families="46")
async def hard_errors_established(t):
    c = await t.passive()
    await t.agent.ok("sendn a 100")
    await c.rx("A", length=100)
    for kind, code in HARD[t.family]:
        t.icmp(kind, code, t.quote(c, 1, 20))
    await asyncio.sleep(0.05)
    c.tx()
    c.tx("PA", b"alive")
    await c.acked()
    await t.delivered(b"alive")


@case("MUST-54 SHLD-26 RFC-5461 MUST-12", "a hard error about our SYN ends connect", families="46")
async def hard_error_connecting(t):
    for i, (kind, code) in enumerate(HARD[t.family]):
        c, connecting = await t.connecting(name=f"h{i}")
        await c.rx("S")
        t.icmp(kind, code, t.quote(c, 0, 8))
        await t.agent.failed(connecting, "ECONNREFUSED|ENOPROTOOPT|EACCES|EHOSTUNREACH", 3)


@case("MUST-56 MUST-47 SHLD-25 RFC-5461", "a soft error about our SYN: connect goes on, and can still succeed", families="46",
      seconds=3)
async def soft_error_connecting(t):
    c, connecting = await t.connecting()
    await c.rx("S")
    kind, code = SOFT[t.family][1]
    t.icmp(kind, code, t.quote(c, 0, 8))
    await c.rx("S", within=2)
    expect(not connecting.done(), "connect ended at a soft error")
    c.tx("SA", options=c.syn_options(), ts=None)
    c.agree(await c.until(lambda p: p.flags == "A", what="the ACK"))
    await t.agent.done(connecting)


@case("MUST-47 SHLD-25 MUST-12", "a connect that times out tells the soft error that came meanwhile", profile="fast", seconds=4,
      limit=20)
async def soft_error_told(t):
    c, connecting = await t.connecting()
    await c.rx("S")
    t.icmp(3, 1, t.quote(c, 0, 8))
    await t.agent.failed(connecting, "EHOSTUNREACH", 12)


@case("MUST-54 RFC-5927", "an error that quotes what was never sent is ignored", families="46")
async def forged_hard_error(t):
    c, connecting = await t.connecting()
    p = await c.rx("S")
    kind, code = HARD[t.family][-1]
    for seq in (-1000, 1000, 1 << 30):
        t.icmp(kind, code, t.quote(c, seq, 8))
    await asyncio.sleep(0.1)
    expect(not connecting.done(), "a forged error ended connect")
    c.tx("RA", seq=0, ack=1)
    await t.agent.failed(connecting, "ECONNREFUSED")


@case("MUST-55 RFC-6633", "Source Quench changes nothing")
async def source_quench(t):
    c = await t.passive()
    sending = t.agent.start("sendn a 100000")
    first = await c.flight()
    for _ in range(5):
        t.icmp(4, 0, t.quote(c, 1))
    await c.all(0.02)
    c.tx()
    second = await c.flight()
    expect(sum(len(p.data) for p in second) > sum(len(p.data) for p in first), "the window did not grow")
    n = c.rcv_nxt - 1
    await c.data(100000 - n)
    await t.agent.done(sending)


def mtu_of(t, least4, least6=1300):
    return least4 if t.family == 4 else least6


@case("MUST-16 RFC-1191 RFC-8201", "a smaller path MTU: lost data is sent again at once in smaller segments, and so is all that "
      "follows", families="46")
async def path_mtu(t):
    mtu = mtu_of(t, 1000)
    headers = 40 if t.family == 4 else 60
    c = await t.passive()
    sending = t.agent.start("sendn a 40000")
    first = await c.flight()
    expect(t.family == 6 or all(p.df for p in first), "DF is not set")
    c.rcv_nxt = 1
    t.frag_needed(c, mtu, 1)
    p = await c.until(lambda p: p.data and c.rel_seq(p) == 1, 0.15, "a retransmission before the time-out")
    while c.rcv_nxt < 40001:
        if p.data:
            between(1, len(p.data), mtu - headers, "bytes in a segment")
        c.tx()
        p = await c.next(1)
        expect(p is not None, "silence")
        c.took(p)
    await t.agent.done(sending)
    # and the next connection to this host knows
    c2 = await t.passive(name="b")
    await t.agent.ok("sendn b 6000")
    for p in await c2.data(6000):
        between(1, len(p.data), mtu - headers, "bytes in a segment of the next connection")


@case("RFC-1191 RFC-5927 MUST-54", "forged reports of a smaller MTU: numbers that are not in flight, MTUs below the floor",
      families="46")
async def path_mtu_forged(t):
    c = await t.passive()
    await t.agent.ok("sendn a 1000")
    await c.data(1000)
    for seq in (-5000, 1, 100000, 1 << 30):
        t.frag_needed(c, mtu_of(t, 600), seq)
    await asyncio.sleep(0.05)
    await t.agent.ok("sendn a 6000")
    segments = await c.data(6000)
    equal(max(len(p.data) for p in segments), 1460 if t.family == 4 else 1440, "largest segment after forged reports")
    sending = t.agent.start("sendn a 6000")
    await c.flight()
    c.rcv_nxt = 7001
    t.frag_needed(c, 68, 7001)
    p = await c.until(lambda p: p.data and c.rel_seq(p) == 7001, 1, "a retransmission")
    largest = 0
    while c.rcv_nxt < 13001:
        largest = max(largest, len(p.data))
        c.tx()
        p = await c.next(1)
        expect(p is not None, "silence")
        c.took(p)
    await t.agent.done(sending)
    expect(largest >= (500 if t.family == 4 else 1200), f"no segment has more than {largest} bytes")


@case("RFC-1191", "a report without an MTU (old routers): a plateau below", families="4")
async def path_mtu_zero(t):
    c = await t.passive()
    sending = t.agent.start("sendn a 20000")
    await c.flight()
    c.rcv_nxt = 1
    t.frag_needed(c, 0, 1)
    p = await c.until(lambda p: p.data and c.rel_seq(p) == 1, 0.6, "a retransmission")
    between(500, len(p.data), 1459, "bytes in it")
    while c.rcv_nxt < 20001:
        c.tx()
        c.took(await c.next(1))
    await t.agent.done(sending)


@case("RFC-1191 MUST-16", "a report that names a larger MTU than ours changes nothing", families="4")
async def path_mtu_larger(t):
    c = await t.passive()
    t.agent.start("sendn a 5000")
    await c.flight()
    t.frag_needed(c, 9000, 1)
    t.frag_needed(c, 1500, 1)
    await asyncio.sleep(0.02)
    c.tx()
    await t.agent.ok("sendn a 10000")
    equal(max(len(p.data) for p in await c.data(10000)), 1460, "largest segment")


@case("RFC-1191 RFC-6928", "a smaller path MTU takes nothing from the congestion window", families="4")
async def path_mtu_no_blame(t):
    c = await t.passive()
    t.agent.start("sendn a 60000")
    await c.flight()
    t.frag_needed(c, 1000, 1)
    await c.all(0.02)
    c.tx()
    after = await c.flight()
    expect(sum(len(p.data) for p in after) >= 7000, f"only {sum(len(p.data) for p in after)} bytes after it")


@case("RFC-4821 RFC-8899", "a path that swallows large segments without a word is found out", families="4", seconds=12, limit=45,
      profile="probing")
async def black_hole(t):
    c = await t.passive()
    sending = t.agent.start("sendn a 20000")
    end = asyncio.get_running_loop().time() + 40
    while c.rcv_nxt < 20001:
        p = await c.next(3)
        expect(p is not None and asyncio.get_running_loop().time() < end, "the connection hangs")
        if p.ip_bytes <= 1200:
            before = c.rcv_nxt
            c.took(p)
            if p.data:
                c.tx(options=c.sack_option((c.rel_seq(p), c.rel_seq(p) + len(p.data))) if c.rcv_nxt == before else b"")
    await t.agent.done(sending)


@case("RFC-792", "echo requests are answered, also with odd lengths; wrong checksums are not", families="46")
async def echo(t):
    for n in (0, 1, 56, 1400):
        body = struct.pack("!HH", 77, n) + bytes(range(256)) * 6
        body = body[:4 + n]
        if t.family == 4:
            t.send_ip(pk.ICMP, pk.icmp4(8, 0, body[:4], body[4:]))
            kind = 0
        else:
            t.send_ip(pk.ICMP6, pk.icmp6(t.peer, t.dut_addr, 128, 0, body[:4], body[4:]))
            kind = 129
        p = await t.other(lambda p: p.protocol in (pk.ICMP, pk.ICMP6) and p.payload[0] == kind)
        equal(p.payload[4:], body, "what came back")
    if t.family == 4:
        bad = bytearray(pk.icmp4(8, 0, b"abcd", b"efgh"))
        bad[2] ^= 1
        t.send_ip(pk.ICMP, bytes(bad))
        await asyncio.sleep(0.05)
        expect(not t.others, "a wrong checksum was answered")


@case("RFC-792 RFC-5927", "errors that quote garbage, other connections or too little harm nothing", families="46")
async def garbage_errors(t):
    c = await t.passive()
    await t.agent.ok("sendn a 10")
    await c.rx("A", length=10)
    good = t.quote(c, 1, 20)
    head = 20 if t.family == 4 else 40
    kind, code = HARD[t.family][-1]
    for quoted in (b"", good[:head - 1], good[:head], good[:head + 4], good[:head + 7], bytes(60), b"\xff" * 60,
                   b"\x4f" + good[1:]):
        t.icmp(kind, code, quoted)
        t.icmp(3 if t.family == 4 else 2, 4 if t.family == 4 else 0, quoted, struct.pack("!I", 600))
    c.tx()
    c.tx("PA", b"alive")
    await c.acked()
