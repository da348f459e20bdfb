# SPDX-License-Identifier: Apache-2.0
"""Loss: what the sender does about it, what the receiver says about it."""
import asyncio
import time

import packet as pk
from case import case, pattern
from cases_window import segment
from peer import between, equal, expect
from receiver import Receiver


RTT_S = 0.04  # what the peer lets the device see: probes and RACK's timers then keep out of the way


async def sending(t, n, *, name="a", **words):
    """A connection on which the device sends n bytes: (Conn, Receiver, its first flight), a round trip later."""
    c = await t.passive(name=name, rtt=RTT_S, **words)
    c.win = 1 << 20 if c.our_shift else 65535
    c.tx()
    c.sending = t.agent.start(f"sendn {name} {n}")
    r = Receiver(c)
    return c, r, await round_trip(c, r)


async def round_trip(c, r):
    """The flight that is out, noted but not yet received, when its round trip is over."""
    edge = c.rcv_nxt
    flight = await c.flight(quiet=RTT_S / 2, gap=RTT_S / 2)
    await asyncio.sleep(RTT_S / 2)
    c.rcv_nxt = edge
    for p in flight:
        r.note(p)
    return flight


async def grown(t, rounds, n, **words):
    """The same after some rounds without loss."""
    c, r, flight = await sending(t, n, **words)
    for _ in range(rounds):
        for p in flight:
            r.take(p)
        c.tx()
        flight = await round_trip(c, r)
    return c, r, flight


async def news(c, r, seconds):
    """Data segments that come in that time, counted."""
    edge = c.rcv_nxt
    found = [p for p in await c.all(seconds) if p.data]
    c.rcv_nxt = edge
    for p in found:
        r.note(p)
    return found


@case("RFC-3042 RFC-5681", "limited transmit: one new segment for each of the first two duplicates, the third retransmits",
      families="46")
async def limited_transmit(t):
    c, r, first = await sending(t, 60000, sack=False)
    top = r.top
    for i in range(2):
        c.tx()
        p = await r.segment()
        equal(c.rel_seq(p), top, f"what duplicate {i + 1} lets out")
        top = r.top
    c.tx()
    p = await r.segment()
    equal(c.rel_seq(p), 1, "what the third duplicate lets out")


@case("RFC-6582 RFC-5681", "NewReno without SACK: each partial ACK brings the next hole, nothing else is repeated", families="46")
async def newreno(t):
    size = segment(t)
    c, r, first = await sending(t, 60000, sack=False)
    holes = [1, 1 + 3 * size, 1 + 6 * size]
    await after(c, r, first, holes)
    await r.run(30 * size - c.rcv_nxt)
    equal(r.again, holes, "what was sent again")


async def after(c, r, flight, holes):
    """The flight arrives, but for the holes; each segment has its ACK."""
    for p in flight:
        if c.rel_seq(p) not in holes:
            r.take(p)
            r.ack()


@case("RFC-6582", "after recovery duplicates of old ACKs start no second one", families="4")
async def newreno_recover(t):
    c, r, first = await sending(t, 200000, sack=False)
    await after(c, r, first, [1])
    await r.run(20 * 1460)
    before = list(r.again)
    ack = c.rcv_nxt
    for _ in range(2):
        c.tx(ack=ack)
    await news(c, r, 0.02)
    equal(r.again, before, "what was sent again")


@case("RFC-6675 RFC-2018 RFC-8985", "SACK: exactly what was lost is sent again, once, the oldest first", families="46", seconds=2)
async def sack_recovery(t):
    size = segment(t)
    for i, lost in enumerate(((0,), (3,), (0, 1), (0, 4, 5, 6, 8), (1, 3, 5, 7), (0, 1, 2, 3, 4, 5))):
        c, r, flight = await grown(t, 1, 60 * size, name=f"s{i}")
        first = c.rel_seq(flight[0])
        holes = [first + size * k for k in lost]
        await after(c, r, flight, holes)
        await r.run(60 * size + 1 - c.rcv_nxt, within=3)
        await t.agent.done(c.sending)
        equal(r.again, holes, f"what was sent again, segments {lost} lost")


@case("RFC-6675 RFC-8985", "a retransmission that is lost too is sent again, without waiting for the RTO if SACKs keep coming",
      families="4", seconds=2)
async def lost_retransmission(t):
    c, r, flight = await grown(t, 1, 300000)
    hole = c.rel_seq(flight[0])
    await after(c, r, flight, [hole])
    await r.run(40 * 1460, lambda seq, copy: seq == hole and copy == 0, within=3)
    expect(r.again.count(hole) >= 2, "the hole was not sent twice")


@case("RFC-9937", "PRR: in recovery as much is sent as ssthresh is of the flight, spread over its ACKs", seconds=2)
async def prr(t):
    c, r, flight = await grown(t, 1, 300000)
    n = len(flight)
    sent = []
    for p in flight[1:]:
        r.take(p)
        r.ack()
        sent.append(len(await news(c, r, 0.003)))
    # cubic: 0.7 of the flight; two more by limited transmit
    between(0.5 * n, sum(sent), 0.85 * n + 2, f"segments sent in recovery for {n - 1} SACKs")
    expect(max(sent[3:]) <= 3, f"bursts in recovery: {sent}")


@case("RFC-2018", "the receiver may renege: after a time-out SACKed data is sent again if it is not acknowledged", seconds=2)
async def reneging(t):
    c, r, first = await sending(t, 14600)
    c.tx(options=c.sack_option((1 + 1460, 14601)))
    await c.until(lambda p: c.rel_seq(p) == 1, what="the hole")
    # the retransmission is lost, and the receiver throws everything away
    p = await c.until(lambda p: p.data and c.rel_seq(p) == 1 and p.when, 2, "the hole again")
    seen = set()
    end = time.monotonic() + 3
    c.rcv_nxt = 1461
    c.tx()
    while c.rcv_nxt < 14601:
        p = await c.next(end - time.monotonic())
        expect(p is not None, f"only {c.rcv_nxt} of 14601: SACKed data is never sent again")
        c.took(p)
        c.tx()


@case("RFC-8985", "tail loss probe: the last segment is sent again before the RTO", families="46")
async def tail_loss_probe(t):
    size = segment(t)
    c, r, first = await sending(t, 10 * size)
    c.rcv_nxt = 1 + 8 * size
    now = time.time_ns()
    c.tx()
    p = await r.segment()
    equal(c.rel_seq(p), 1 + 9 * size, "what is sent again: the last segment")
    between(40, (p.when - now) / 1e6, 180, "milliseconds until the probe (the RTO is more than 200)")
    await asyncio.sleep(RTT_S)
    r.take(p)
    r.ack()
    await r.run(size, within=0.15)


@case("RFC-8985", "reordering within a quarter of the round trip is no loss", families="46")
async def reordering(t):
    size = segment(t)
    c, r, flight = await sending(t, 10 * size)
    for p in flight[1:3]:
        r.take(p)
        r.ack()
    await news(c, r, 0.004)
    for p in flight[:1] + flight[3:]:
        r.take(p)
        r.ack()
    await news(c, r, 0.03)
    equal(r.again, [], "what was sent again")


@case("RFC-5681 MUST-19 RFC-6298", "after a time-out the window is one segment, then slow start", families="46", seconds=2)
async def loss_window(t):
    size = segment(t)
    c, r, first = await sending(t, 10 * size, sack=False)
    p = await c.until(lambda p: p.data, 2, "a retransmission")
    equal(c.rel_seq(p), 1, "the retransmission")
    equal([c.rel_seq(q) for q in await news(c, r, 0.08)], [], "sent beside it")
    c.rcv_nxt = 1 + size
    c.tx()
    found = await c.flight()
    between(1, len(found), 2, "segments after its ACK")


@case("RFC-5682 RFC-4015", "a spurious time-out (F-RTO): the ACKs of the originals stop the retransmissions", seconds=2)
async def frto(t):
    c, r, first = await sending(t, 100000)
    again = await c.until(lambda p: p.data and c.rel_seq(p) == 1, 2, "the retransmission at the time-out")
    await news(c, r, 0.01)
    r.again.clear()
    for p in first:  # the delayed ACKs of the first flight
        r.take(p)
        c.rcv_nxt = max(c.rcv_nxt, c.rel_seq(p) + len(p.data))
        c.tx()
        await news(c, r, 0.002)
    equal([s for s in r.again if s < 14601], [], "sent again although the originals arrived")


@case("RFC-4015", "a spurious time-out is undone when timestamps show it: the window is what it was", seconds=2)
async def eifel(t):
    c, r, first = await sending(t, 200000, ts=True)
    original = first[-1].ts[0]
    await c.until(lambda p: p.data and c.rel_seq(p) == 1, 2, "the retransmission at the time-out")
    await c.all(0.01)
    top = max(c.rel_seq(p) + len(p.data) for p in first)
    c.rcv_nxt = top
    c.tx(ts=(c.clock(), original))
    flight = await c.flight()
    c.rcv_nxt = max(c.rel_seq(p) + len(p.data) for p in flight)
    c.tx()
    more = await c.flight()
    expect(len(flight) + len(more) >= 15, f"{len(flight)} and {len(more)} segments: it still believes in loss")


@case("RFC-2883 RFC-3708", "a recovery that D-SACK shows to be needless is undone", seconds=2)
async def dsack_undo(t):
    c, r, flight = await grown(t, 1, 300000)
    first, n = c.rel_seq(flight[0]), len(flight)
    for p in flight[1:5]:
        r.take(p)
        r.ack()
    p = await c.until(lambda p: p.data and c.rel_seq(p) == first, 0.3, "the needless retransmission")
    await news(c, r, 0.005)
    for q in flight:
        r.take(q)
    c.rcv_nxt = max(c.rcv_nxt, r.top)
    c.tx(options=c.sack_option((first, first + len(p.data))))
    later = await round_trip(c, r)
    expect(len(later) >= n * 0.85, f"{len(later)} segments after the undo, {n} before")


# ---- the receiver ------------------------------------------------------------------------------------------


@case("RFC-2018", "SACK blocks: the most recent first, then those before it; four, or three beside timestamps", families="46")
async def sack_order(t):
    for ts, room in ((False, 4), (True, 3)):
        c = await t.passive(ts=ts, name=f"o{ts}")
        wanted = []
        for i in (2, 4, 6, 8, 10, 12):
            c.tx("A", bytes(100), seq=1 + 100 * i)
            wanted.insert(0, (1 + 100 * i, 101 + 100 * i))
            p = await c.rx("A", ack=1)
            equal(c.rel_sack(p), wanted[:room], f"blocks after segment {i}")
        # a segment that joins two blocks makes its block the first
        c.tx("A", bytes(100), seq=1 + 900)
        p = await c.rx("A", ack=1)
        equal(c.rel_sack(p)[0], (801, 1101), "the block of the segment that closed a gap")


@case("RFC-2018", "SACK blocks vanish as the gaps close", families="4")
async def sack_closes(t):
    c = await t.passive()
    for i in (1, 3):
        c.tx("A", bytes(100), seq=1 + 100 * i)
        await c.rx("A", ack=1)
    c.tx("A", bytes(100), seq=1)
    p = await c.rx("A", ack=201)
    equal(c.rel_sack(p), [(301, 401)], "blocks")
    c.tx("A", bytes(100), seq=201)
    p = await c.rx("A", ack=401)
    equal(c.rel_sack(p), [], "blocks")
    c.snd_nxt = 401


@case("RFC-2883", "D-SACK: a duplicate is the first block, below or above the cumulative ACK, whole or in part", families="46")
async def dsack(t):
    c = await t.passive()
    c.tx("PA", bytes(1000))
    await c.acked()
    c.tx("PA", bytes(1000), seq=1)
    p = await c.rx("A", ack=1001)
    equal(c.rel_sack(p)[:1], [(1, 1001)], "first block for a duplicate below")
    c.tx("A", bytes(100), seq=2001)
    await c.rx("A", ack=1001)
    c.tx("A", bytes(100), seq=2001)
    p = await c.rx("A", ack=1001)
    equal(c.rel_sack(p), [(2001, 2101), (2001, 2101)], "blocks for a duplicate above")
    c.tx("A", bytes(200), seq=901)
    p = await c.rx("A", ack=1101)
    equal(c.rel_sack(p)[:1], [(901, 1001)], "first block for a part that is old")


@case("RFC-5681 RFC-9293", "overlapping segments: every byte once, in order", families="46")
async def overlaps(t):
    c = await t.passive()
    data = pattern(3000)
    for a, b in ((1000, 2000), (500, 1500), (1900, 2600), (2500, 3000), (0, 600), (700, 2000)):
        c.tx("A", data[a:b], seq=1 + a)
        await c.rx("A")
    c.snd_nxt = 3001
    c.tx()
    equal(await t.agent.ok("recv a 3000"), [data.hex()], "the stream")


@case("RFC-2018", "SACK blocks that cannot be are ignored", families="46")
async def sack_nonsense(t):
    c, r, first = await sending(t, 60000)
    for blocks in (((0, 1),), ((1 << 30, (1 << 30) + 100),), ((5000, 100),), ((200, 100000),), ((1, 1),)):
        c.tx(options=c.sack_option(*blocks))
    c.tx(options=b"\1\1" + pk.opt(pk.SACK, bytes(8)))
    await news(c, r, 0.02)
    await r.run(60000 - 100, within=3)
