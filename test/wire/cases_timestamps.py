# SPDX-License-Identifier: Apache-2.0
"""Timestamps and PAWS (RFC 7323)."""
import asyncio

import packet as pk
from case import case, pattern
from peer import between, equal, expect


@case("RFC-7323", "timestamps: offered, echoed, on every segment but RST; TSecr is what came last in sequence", families="46")
async def timestamps_echoed(t):
    c = await t.passive(ts=True)
    base = c.clock()
    c.tx("PA", b"one", ts=(base + 10, c.their_ts))
    p = await c.acked()
    equal(p.ts[1], base + 10, "TSecr")
    await t.agent.ok("sendn a 100")
    p = await c.rx("A", length=100)
    equal(p.ts[1], base + 10, "TSecr on data")
    c.ts_base += 50
    c.tx()
    # ahead of a gap: the timestamp of what did not advance the window is not echoed
    c.tx("A", b"later", seq=c.snd_nxt + 100, ts=(base + 500, c.their_ts))
    p = await c.rx("A")
    expect(p.ts[1] != base + 500, "the timestamp of a segment ahead of a gap is echoed")
    first = await t.agent.ok("sendn a 10")
    a = await c.rx("A", length=10)
    await asyncio.sleep(0.05)
    c.tx(ts=(base + 600, a.ts[0]))
    await t.agent.ok("sendn a 10")
    b = await c.rx("A", length=10)
    between(30, (b.ts[0] - a.ts[0]) % pk.MOD, 5000, "ticks of its clock in 50 ms")


@case("RFC-7323", "a delayed ACK echoes the oldest unacknowledged segment's timestamp", families="4")
async def timestamp_of_delayed_ack(t):
    c = await t.passive(ts=True)
    for _ in range(2):
        c.tx("PA", b"?")
        await t.agent.ok("recv a 1")
        await t.agent.ok("send a 21")
        await c.until(lambda p: p.data, what="an answer")
        c.tx()
    await c.all(0.06)
    base = c.clock()
    c.tx("A", b"x" * 100, ts=(base + 1000, c.their_ts))
    c.tx("A", b"y" * 100, ts=(base + 2000, c.their_ts))
    p = await c.acked(within=0.5)
    expect(p.ts[1] in (base + 1000, base + 2000), "TSecr is neither")
    if c.rel_ack(p) == c.snd_nxt:
        equal(p.ts[1], base + 1000, "TSecr of one ACK for two segments")


@case("RFC-7323", "once agreed on, a segment without timestamps is dropped; RST counts always", families="46")
async def timestamp_missing(t):
    c = await t.passive(ts=True)
    c.tx("PA", b"none", seq=c.snd_nxt, ts=None)
    await c.all(0.1)
    expect(c.snd_una == 1, "data without timestamps was taken")
    c.tx("R", ts=None)
    await t.agent.error("recv a 1", "ECONNRESET")


@case("RFC-7323", "PAWS: data with an old timestamp is dropped and acknowledged; RST is exempt", families="46")
async def paws(t):
    c = await t.passive(ts=True)
    base = c.clock() + 1000
    c.tx("PA", b"new", ts=(base, c.their_ts))
    await c.acked()
    for age in (2, 1000, 1 << 30):  # Linux tolerates one tick
        c.tx("PA", b"old", seq=c.snd_nxt, ts=(base - age, c.their_ts))
        p = await c.rx("A", ack=4)
        equal(p.ts[1], base, "TSecr")
    c.tx("PA", b"equal", ts=(base, c.their_ts))
    await c.acked()
    c.tx("FA", seq=c.snd_nxt, ts=(base - 5, c.their_ts))
    await c.rx("A", ack=9)
    await t.delivered(b"newequal")
    c.tx("R", ts=(base - 100, 0))
    await t.agent.error("recv a 1", "ECONNRESET")


@case("RFC-7323", "timestamps wrap around", families="4")
async def timestamp_wraps(t):
    await t.listen()
    c = t.conn(rport=t.port)
    c.ts_base = (pk.MOD - 200 - c.clock() + c.ts_base) % pk.MOD
    await c.open(ts=True)
    await t.agent.ok("accept l a")
    for i in range(6):
        c.tx("PA", b"%d" % i)
        await c.acked()
        await asyncio.sleep(0.06)
    await t.delivered(b"012345")


@case("RFC-7323", "TSecr of nonsense harms nothing", families="46")
async def tsecr_nonsense(t):
    c = await t.passive(ts=True)
    await t.agent.ok("sendn a 100")
    await c.rx("A", length=100)
    for ecr in (0, 1, c.their_ts + 100000, c.their_ts - (1 << 30), 0xffffffff):
        c.tx(ts=(c.clock(), ecr & 0xffffffff), ack=1)
    c.tx(ts=(c.clock(), 12345))
    for _ in range(3):
        await t.agent.ok("sendn a 100")
        await c.rx("A", length=100)
        c.tx(ts=(c.clock(), 0))


@case("RFC-7323 RFC-6528", "the clocks of different connections begin at different values", families="4")
async def timestamp_offsets(t):
    await t.listen()
    found = []
    for i in range(6):
        c = t.conn(rport=t.port, host=t.another_host(i + 1))
        p = await c.open(ts=True)
        found.append(p.ts[0])
    expect(max(found) - min(found) > 1 << 20, f"timestamps {found} are near each other")


@case("RFC-7323", "window scale with a right edge that is not a multiple: it never moves left by more than the unit", families="4",
      seconds=2)
async def edge_with_scale(t):
    c = await t.passive(wscale=7)
    for n in (1, 10, 127, 128, 129, 1000, 3, 5000, 77):
        c.write(pattern(n))
        await c.acked()
        await t.agent.ok(f"recv a {n}")
        await c.all(0.01)
