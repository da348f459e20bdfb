# SPDX-License-Identifier: Apache-2.0
"""Time: retransmission time-outs, giving up, keepalive."""
import asyncio
import time

from case import case
from peer import between, equal, expect


def gaps_of(seen):
    return [(b.when - a.when) / 1e6 for a, b in zip(seen, seen[1:])]


async def copies(c, n, within):
    """n arrivals of the segment that begins where the peer's acknowledgement stands."""
    first = c.rcv_nxt
    found = []
    while len(found) < n:
        p = await c.next(within)
        expect(p is not None, f"{len(found)} copies, then nothing within {within} s")
        if p.data and c.rel_seq(p) == first:
            found.append(p)
    return found


@case("MUST-18 MUST-19 RFC-6298 RFC-1122", "lost data is sent again after the RTO, then with doubled waits", families="46",
      seconds=4)
async def rto_backs_off(t):
    c = await t.passive(sack=False)
    await t.agent.ok("sendn a 100")
    seen = await copies(c, 5, 4)
    gaps = gaps_of(seen)
    between(180, gaps[0], 450, "milliseconds before the first")
    for a, b in zip(gaps, gaps[1:]):
        between(1.7, b / a, 2.3, "growth of the waits")


@case("MUST-18 RFC-6298", "the first sample sets SRTT = R, RTTVAR = R/2: RTO = 3 R", families="46", seconds=3)
async def rto_of_first_sample(t):
    await t.listen()
    c = t.conn(rport=t.port)
    await c.open(sack=False, ack=False)
    await asyncio.sleep(0.3)
    c.tx()
    await t.agent.ok("accept l a")
    await t.agent.ok("sendn a 100")
    between(800, gaps_of(await copies(c, 2, 3))[0], 1100, "milliseconds, for a round trip of 300")


@case("MUST-18 RFC-6298", "samples move SRTT by 1/8: after a steady round trip the RTO comes down", families="4", seconds=5)
async def rto_converges(t):
    await t.listen()
    c = t.conn(rport=t.port)
    await c.open(sack=False, ack=False)
    await asyncio.sleep(0.1)
    c.tx()
    await t.agent.ok("accept l a")
    for _ in range(12):
        await t.agent.ok("sendn a 10")
        await c.rx("A", length=10)
        await asyncio.sleep(0.1)
        c.tx()
    await asyncio.sleep(0.05)
    await t.agent.ok("sendn a 100")
    # 100 + max(200, 4 * a little) on Linux, max(200, 100 + 4 * a little) by the RFC
    between(150, gaps_of(await copies(c, 2, 3))[0], 340, "milliseconds, for a steady round trip of 100")


@case("MUST-18 RFC-6298", "Karn: the ACK of a retransmission is no sample, the backed-off RTO stays", families="46", seconds=5)
async def karn(t):
    c = await t.passive(sack=False)
    await t.agent.ok("sendn a 100")
    seen = await copies(c, 3, 3)
    backed_off = gaps_of(seen)[-1] * 2
    c.rcv_nxt = 101
    c.tx()
    await t.agent.ok("sendn a 50")
    gap = gaps_of(await copies(c, 2, 4))[0]
    between(backed_off * 0.85, gap, backed_off * 1.3, "milliseconds before the next retransmission")


@case("RFC-7323 MUST-18", "with timestamps the ACK of a retransmission is a sample: the RTO comes back", families="4", seconds=3)
async def timestamps_end_backoff(t):
    c = await t.passive(sack=False, ts=True)
    await t.agent.ok("sendn a 100")
    await copies(c, 3, 3)
    c.rcv_nxt = 101
    c.tx()
    await t.agent.ok("sendn a 50")
    between(150, gaps_of(await copies(c, 2, 4))[0], 500, "milliseconds before the next retransmission")


@case("RFC-6298", "data after a handshake whose SYN-ACK was lost waits three seconds at first", families="4", seconds=6)
async def rto_after_lost_synack(t):
    await t.listen()
    c = t.conn(rport=t.port)
    await c.open(sack=False, ack=False)
    await c.rx("SA", within=1.6)
    c.tx()
    await t.agent.ok("accept l a")
    await t.agent.ok("sendn a 100")
    between(2700, gaps_of(await copies(c, 2, 4))[0], 3500, "milliseconds before the first retransmission")


@case("MUST-18 RFC-6298", "the timer begins anew with each ACK of something, and stops when all is acknowledged", families="4",
      seconds=3)
async def rto_restarts(t):
    c = await t.passive(sack=False)
    await t.agent.ok("sendn a 4380")
    await c.flight()
    await asyncio.sleep(0.12)
    c.rcv_nxt = 1461
    now = time.time_ns()
    c.tx()
    p = (await copies(c, 1, 2))[0]
    between(180, (p.when - now) / 1e6, 500, "milliseconds between the ACK and the retransmission")
    c.rcv_nxt = 4381
    c.tx()
    await c.none(0.8)


@case("MUST-20 MUST-12 SHLD-9 SHLD-10", "data that is never acknowledged: some retransmissions, then ETIMEDOUT", profile="fast",
      seconds=6, limit=30, families="46")
async def r2(t):
    c = await t.passive()
    await t.agent.ok("sendn a 100")
    reading = t.agent.start("recv a 1")
    seen = [await c.next(1)]
    while not reading.done():
        p = await c.next(0.3)
        if p is not None and p.data:
            seen.append(p)
        expect(len(seen) < 30, "no end")
    await t.agent.failed(reading, "ETIMEDOUT")
    expect(len(seen) > 3, f"given up after {len(seen) - 1} retransmissions")


@case("MUST-20 SHLD-9", "after some time-outs the neighbour is asked for again", profile="fast", seconds=3)
async def r1_asks_neighbour(t):
    c = await t.passive()
    asked = t.asked
    await t.agent.ok("sendn a 100")
    for _ in range(40):
        await c.next(0.1)
        if t.asked > asked:
            return
    expect(False, "no ARP request during seven time-outs")


@case("SHLD-11 MUST-20", "by default R2 is 100 seconds at least", families="4")
async def r2_default(t):
    if t.is_mango:
        retries = int((await t.agent.ok("config tcp.retries2"))[0])
        least = int((await t.agent.ok("config tcp.rto_min_ms"))[0])
        most = int((await t.agent.ok("config tcp.rto_max_ms"))[0])
    else:
        retries, least, most = 15, 200, 120000
    total = sum(min(least << i, most) for i in range(retries + 1)) / 1000
    expect(total >= 100, f"{total} s")


@case("MUST-21 RFC-5482", "the application sets R2: TCP_USER_TIMEOUT", families="46", seconds=3)
async def user_timeout(t):
    c = await t.passive(set_={"user_timeout_ms": 700})
    await t.agent.ok("sendn a 100")
    start = time.monotonic()
    await t.agent.failed(t.agent.start("recv a 1"), "ETIMEDOUT", 8)
    between(0.5, time.monotonic() - start, 2.5, "seconds until ETIMEDOUT, for 0.7")


@case("MUST-21 MUST-22 RFC-5482", "TCP_USER_TIMEOUT holds for connect as well", families="4", seconds=4)
async def user_timeout_connect(t):
    c, connecting = await t.connecting(options={"user_timeout_ms": 1500})
    start = time.monotonic()
    await t.agent.failed(connecting, "ETIMEDOUT", 8)
    between(1.2, time.monotonic() - start, 3.5, "seconds until ETIMEDOUT, for 1.5")


@case("RFC-5482", "the user timeout option (kind 28) of the peer changes nothing and harms nothing", families="46")
async def user_timeout_option(t):
    c = await t.passive(more=b"\x1c\x04\x00\x05")
    c.tx("PA", b"hello", options=b"\x1c\x04\x80\x01")
    await c.acked()
    await t.delivered(b"hello")


def is_keepalive(c, p):
    return "A" in p.flags and "F" not in p.flags and c.rel_seq(p) == c.rcv_nxt - 1 and len(p.data) <= 1


@case("MUST-24 MUST-27 MUST-29 SHLD-12 MAY-5 MAY-6", "keepalive: probes after the idle time, one reply missing is no death, "
      "all missing is ETIMEDOUT", families="46", seconds=10, limit=30)
async def keepalive(t):
    c = await t.passive(set_={"keepidle_s": 1, "keepintvl_s": 1, "keepcnt": 3, "keepalive": 1})
    c.tx("PA", b"x")
    await c.acked()
    await t.agent.ok("recv a 1")
    start = time.time_ns()
    p = await c.until(lambda p: is_keepalive(c, p), 3, "a probe")
    between(800, (p.when - start) / 1e6, 1500, "milliseconds of idleness before the probe")
    c.tx()
    p = await c.until(lambda p: is_keepalive(c, p), 3, "a second probe")  # not answered
    q = await c.until(lambda p: is_keepalive(c, p), 3, "a third probe")
    between(800, (q.when - p.when) / 1e6, 1500, "milliseconds between probes")
    c.tx()
    await t.agent.ok("send a 79")
    await c.rx("A", length=1, skip=lambda p: not p.data)
    c.tx()
    await t.agent.failed(t.agent.start("recv a 1"), "ETIMEDOUT", 8)


@case("MUST-25 MUST-28", "keepalive is off unless asked for, and its idle time two hours", families="4", seconds=4)
async def keepalive_default(t):
    c = await t.passive()
    equal(await t.agent.ok("getopt a keepalive"), ["0"], "SO_KEEPALIVE")
    expect(int((await t.agent.ok("getopt a keepidle_s"))[0]) >= 7200, "the default idle time is less than two hours")
    await c.none(2.5)


@case("MUST-26", "no probe while data is outstanding, nor while data arrives", families="4", seconds=5)
async def keepalive_only_idle(t):
    c = await t.passive(set_={"keepidle_s": 1, "keepintvl_s": 1, "keepcnt": 5, "keepalive": 1})
    for _ in range(4):
        c.tx("PA", b"x")
        for p in await c.all(0.5):
            expect(not is_keepalive(c, p), "a probe while data arrives")
    await t.agent.ok("sendn a 10")
    end = time.monotonic() + 2
    while time.monotonic() < end:
        p = await c.next(0.2)
        expect(p is None or p.data, "a probe while data is outstanding")


@case("MUST-24 RFC-9293", "the peer's keepalive probes are answered, with or without a garbage octet", families="46")
async def keepalive_answered(t):
    c = await t.passive()
    c.tx("PA", b"abc")
    await c.acked()
    for data in (b"", b"\0"):
        c.tx("A", data, seq=c.snd_nxt - 1)
        await c.rx("A", seq=1, ack=c.snd_nxt)
    await t.delivered(b"abc")
