# SPDX-License-Identifier: Apache-2.0
"""Urgent data, and what an application sets of the IP header."""
import asyncio

import packet as pk
from case import case, pattern
from cases_window import full_connection
from dut import ADDR4
from peer import between, equal, expect


@case("MUST-30 MUST-62 SHLD-13 RFC-6093", "urgent data sent: URG, and the pointer names the octet after it", families="46")
async def urgent_sent(t):
    c = await t.passive()
    await t.agent.ok(f"sendurg a {b'abc'.hex()}")
    p = await c.rx("AU", length=3)
    equal(p.urg, 3, "the pointer")
    c.tx()
    await t.agent.ok(f"send a {b'plain'.hex()}")
    p = await c.rx("A", length=5)


@case("MUST-31 MUST-30", "urgent data sent, longer than a pointer reaches", families="4")
async def urgent_sent_long(t):
    c = await t.passive()
    n = 20000
    data = bytes(n)
    sending = t.agent.start(f"sendurg a {data.hex()}")
    end, pointed = 1 + n, []
    while c.rcv_nxt < end:
        p = await c.next(2)
        expect(p is not None, "silence")
        c.took(p)
        if p.data:
            if "U" in p.flags:
                pointed.append(c.rel_seq(p) + p.urg)
            c.tx()
    await t.agent.done(sending)
    equal(pointed[-1], end, "where the last pointer points")


@case("MUST-32 MUST-33 MUST-30", "a pointer wakes the application, which can learn where the urgent data ends", families="46")
async def urgent_told(t):
    c = await t.passive()
    await t.agent.ok("setopt a oobinline 1") if not t.is_mango else None
    c.tx("PAU", b"abcd", urg=4)
    await c.acked()
    equal("pri" in await t.agent.ok("poll a 1000 pri"), True, "PRI")
    ahead = int((await t.agent.ok("urgent a"))[0])
    expect(ahead == 4 or not t.is_mango, f"the end is {ahead} bytes ahead, wanted 4")
    await t.delivered(b"abc")
    equal(await t.agent.ok("urgent a"), ["1"], "bytes to the end: the mark is here")
    await t.delivered(b"d")
    c.tx("PA", b"rest")
    await c.acked()
    await t.delivered(b"rest")
    # a pointer that moves on
    c.tx("PAU", b"12", urg=2)
    await c.acked()
    equal("pri" in await t.agent.ok("poll a 1000 pri"), True, "PRI again")


@case("MUST-32 MUST-31", "a pointer ahead of its data is told at once", families="4")
async def urgent_ahead(t):
    c = await t.passive()
    c.tx("PAU", b"ab", urg=60000)
    await c.acked()
    equal("pri" in await t.agent.ok("poll a 1000 pri"), True, "PRI")
    equal(await t.agent.ok("urgent a"), ["60000"], "how far ahead")


@case("MUST-66", "URG is noticed while the window is closed", families="4", seconds=2)
async def urgent_at_zero_window(t):
    c, n = await full_connection(t)
    c.tx("AU", urg=5)
    await c.all(0.05)
    equal("pri" in await t.agent.ok("poll a 1000 pri"), True, "PRI")


@case("RFC-6093 RFC-9293", "urgent pointers of nonsense harm nothing", families="46")
async def urgent_nonsense(t):
    c = await t.passive()
    await t.agent.ok("setopt a oobinline 1") if not t.is_mango else None
    for urg in (0, 1, 65535):
        c.tx("PAU", b"xyz", urg=urg)
        await c.acked()
    c.tx("PA", b"abc", urg=2)  # a pointer without URG
    await c.acked()
    await t.delivered(b"xyzxyzxyzabc")


@case("MUST-48 SHLD-21 SHLD-22 SHLD-23", "the application sets DSCP, and may change it; ECN's bits stay out of it", families="46")
async def dscp(t):
    key = "tos" if t.family == 4 else "tclass"
    c = await t.passive(set_={"nodelay": 1})
    for value in (0x28, 0xb8, 0):
        await t.agent.ok(f"setopt a {key} {value}")
        await t.agent.ok("sendn a 10")
        p = await c.until(lambda p: p.data and not p.old, 1, "data")
        equal(p.tos & 0xfc, value, "DSCP of data")
        c.tx("PA", b"x")
        p = await c.acked()
        equal(p.tos & 0xfc, value, "DSCP of an ACK")
    c, connecting = await t.connecting(name="b", options={key: 0x60})
    p = await c.rx("S")
    equal(p.tos & 0xfc, 0x60, "DSCP of the SYN")
    c.tx("RA", seq=0, ack=1)


@case("MUST-49", "the application sets the time to live, or hop limit", families="46")
async def ttl(t):
    key = "ttl" if t.family == 4 else "hops"
    c = await t.passive()
    await t.agent.ok("sendn a 10")
    p = await c.rx("A", length=10)
    equal(p.ttl, 64, "the default")
    c.tx()
    await t.agent.ok(f"setopt a {key} 17")
    await t.agent.ok("sendn a 10")
    p = await c.rx("A", length=10)
    equal(p.ttl, 17, "after the option")
    c, connecting = await t.connecting(name="b", options={key: 99})
    p = await c.rx("S")
    equal(p.ttl, 99, "of the SYN")
    c.tx("RA", seq=0, ack=1)


@case("MUST-48 MUST-49", "a listener's DSCP and TTL hold for what it accepts", families="4")
async def listener_header(t):
    await t.listen(options={"tos": 0x48, "ttl": 33})
    c = t.conn(rport=t.port)
    c.tx("S", options=c.syn_options(), ts=None)
    p = await c.rx("SA", ack=1)
    equal((p.tos & 0xfc, p.ttl), (0x48, 33), "DSCP and TTL of the SYN-ACK")
    c.tx("R", seq=1)
    c = await t.passive()
    await t.agent.ok("sendn a 10")
    p = await c.rx("A", length=10)
    equal((p.tos & 0xfc, p.ttl), (0x48, 33), "DSCP and TTL of data")


@case("SHLD-20 MUST-47 RFC-792", "soft errors on an established connection are remembered, not thrown", families="4")
async def soft_error_quiet(t):
    c = await t.passive()
    await t.agent.ok("sendn a 10")
    await c.rx("A", length=10)
    t.icmp(3, 1, t.quote(c, 1, 20))
    await asyncio.sleep(0.03)
    c.tx("PA", b"x")
    await c.acked()
    await t.delivered(b"x")


@case("MAY-4 RFC-791", "segments have DF set, or identifications that do not repeat", families="4")
async def identification(t):
    c = await t.passive()
    t.agent.start("sendn a 14600")
    flight = await c.flight()
    for p in flight:
        expect(p.df or len({q.ip_id for q in flight}) == len(flight), "fragments could be mixed up")


@case("MAY-9 MAY-16 MAY-17", "an idle connection says nothing", families="46", seconds=2)
async def idle(t):
    c = await t.passive()
    c.tx("PA", b"x")
    await c.acked()
    await c.none(1.5)
