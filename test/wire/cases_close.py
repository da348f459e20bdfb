# SPDX-License-Identifier: Apache-2.0
"""Closing: the orders of FINs, aborts, what the application hears, TIME-WAIT."""
import asyncio
import time

import packet as pk
from case import case, pattern
from cases_handshake import talk
from peer import between, equal, expect


@case("MUST-12 RFC-9293", "the peer's FIN is end of stream; what the application sends afterwards still arrives",
      families="46")
async def half_close_by_peer(t):
    c = await t.passive()
    c.tx("FA", b"last words")
    await c.acked()
    await t.delivered(b"last words")
    equal(await t.agent.ok("recv a 1"), ["eof"], "end of stream")
    equal("rdhup" in await t.agent.ok("poll a 500 in"), True, "RDHUP")
    await t.agent.ok("sendn a 5000")
    await c.data(5000)
    await t.agent.ok("close a")
    p = await c.rx("FA", ack=c.snd_nxt)
    c.tx("A")
    await c.none(0.1)
    c.tx("A")
    await c.rx("R")  # CLOSED


@case("MUST-12 RFC-9293", "the application's end sends FIN; what the peer sends afterwards still arrives", families="46")
async def half_close_by_us(t):
    c = await t.passive()
    await t.agent.ok("send a 414243")
    await t.agent.ok("shutdown a wr")
    await c.data(3)
    if "F" not in c_last(c):
        await c.rx("FA")
    c.tx("A")
    c.write(pattern(10000))
    await c.acked()
    equal(await t.agent.ok("recv a 10000"), [pattern(10000).hex()], "what arrived after our FIN")
    await t.agent.error("send a 00", "EPIPE")
    c.tx("FA")
    await c.acked()
    equal(await t.agent.ok("recv a 1"), ["eof"], "end of stream")


def c_last(c):
    """The flags of what was just taken: FIN may ride on the data."""
    return "F" if c.rcv_nxt == 5 else ""


@case("MUST-12", "RST is ECONNRESET for a reader, then EPIPE or ECONNRESET for a writer; poll says ERR and HUP", families="46")
async def reset_told(t):
    c = await t.passive()
    reading = t.agent.start("recv a 1")
    await asyncio.sleep(0.05)
    c.tx("R")
    await t.agent.failed(reading, "ECONNRESET")
    await t.agent.error("send a 00", "EPIPE|ECONNRESET")
    c = await t.passive(name="b")
    c.tx("R")
    await asyncio.sleep(0.05)
    found = await t.agent.ok("poll b 500 in")
    expect("err" in found and "hup" in found, f"poll says {found}")
    await t.agent.error("recv b 1", "ECONNRESET")


@case("MUST-12", "data that came before the RST can be read, or is replaced by the error, never by end of stream", families="4")
async def reset_after_data(t):
    c = await t.passive()
    c.tx("PA", b"data")
    await c.acked()
    c.tx("R")
    await asyncio.sleep(0.05)
    answer = await t.agent.call("recv a 4")
    expect(answer in ("ok " + b"data".hex(), "err ECONNRESET"), answer)
    if answer.startswith("ok"):
        await t.agent.error("recv a 1", "ECONNRESET")


@case("SHLD-2", "an RST with data is an RST", families="46")
async def reset_with_data(t):
    c = await t.passive()
    c.tx("R", b"because of this")
    await t.agent.error("recv a 1", "ECONNRESET")
    c = await t.passive(name="b")
    c.tx("RA", b"because of this")
    await t.agent.error("recv b 1", "ECONNRESET")


@case("SHLD-3 MAY-1", "close with data unread sends RST", families="46")
async def close_unread(t):
    c = await t.passive()
    c.tx("PA", b"never read")
    await c.acked()
    await t.agent.ok("close a")
    p = await c.rx(within=1)
    expect("R" in p.flags, f"found {c.describe(p)}")
    equal(c.rel_seq(p), 1, "number of the RST")


@case("SHLD-3", "data after close sends RST", families="46")
async def data_after_close(t):
    c = await t.passive()
    await t.agent.ok("close a")
    await c.rx("FA", seq=1)
    c.tx("A")
    c.tx("PA", b"too late")
    p = await c.rx(within=1)
    expect("R" in p.flags, f"found {c.describe(p)}")


@case("MUST-12 RFC-9293", "abort sends RST in sequence, with what is unsent thrown away", families="46")
async def abort(t):
    c = await t.passive()
    await t.agent.ok("abort a")
    p = await c.rx(within=1)
    expect("R" in p.flags and c.rel_seq(p) == 1, f"found {c.describe(p)}")
    c.tx("A")
    await c.rx("R")


@case("RFC-9293", "simultaneous close: both FINs cross, each is acknowledged, TIME-WAIT", families="46")
async def simultaneous_close(t):
    c = await t.passive()
    await t.agent.ok("close a")
    await c.rx("FA", seq=1, ack=1)
    c.tx("FA", ack=1)  # CLOSING
    await c.rx("A", seq=2, ack=2)
    c.tx("A", ack=2)  # TIME-WAIT
    await c.none(0.05)
    c.tx("FA", seq=1, ack=2)
    await c.rx("A", seq=2, ack=2)


@case("RFC-9293", "FIN and its acknowledgement in one segment: FIN-WAIT-1 to TIME-WAIT", families="46")
async def fin_and_ack_together(t):
    c = await t.passive()
    await t.agent.ok("close a")
    await c.rx("FA", seq=1)
    c.tx("FA")
    await c.rx("A", seq=2, ack=2)
    c.tx("FA", seq=1)
    await c.rx("A", seq=2, ack=2)


@case("RFC-9293", "in FIN-WAIT-2 the peer's data is taken, then its FIN", families="46")
async def fin_wait_2_data(t):
    c = await t.passive()
    await t.agent.ok("shutdown a wr")
    await c.rx("FA", seq=1)
    c.tx("A")
    c.write(pattern(4000))
    await c.acked()
    equal(await t.agent.ok("recv a 4000"), [pattern(4000).hex()], "data")
    c.tx("FA", b"end")
    await c.acked()
    await t.delivered(b"end")
    equal(await t.agent.ok("recv a 1"), ["eof"], "end of stream")


@case("RFC-9293 MUST-19", "FIN that is lost is sent again", families="46", seconds=2)
async def fin_retransmitted(t):
    c = await t.passive()
    await t.agent.ok("close a")
    await c.rx("FA", seq=1)
    await c.rx("FA", seq=1, within=2)
    c.tx("FA")
    await c.rx("A", seq=2, ack=2)


@case("RFC-9293", "FIN in LAST-ACK that is lost is sent again, the end is silent", families="46", seconds=2)
async def last_ack(t):
    c = await t.passive()
    c.tx("FA")
    await c.acked()
    await t.agent.ok("close a")
    await c.rx("FA", seq=1, ack=2)
    await c.rx("FA", seq=1, ack=2, within=2)
    c.tx("A")
    await c.none(0.3)


@case("RFC-9293", "FIN out of order waits for the data before it", families="46")
async def fin_out_of_order(t):
    c = await t.passive()
    c.tx("FA", b"world", seq=6)
    p = await c.rx("A", ack=1)
    c.tx("PA", b"hello", seq=1)
    c.snd_nxt = 12
    await c.rx("A", ack=12)
    await t.delivered(b"helloworld")
    equal(await t.agent.ok("recv a 1"), ["eof"], "end of stream")


@case("RFC-9293", "data beyond a FIN is not taken", families="46")
async def data_beyond_fin(t):
    c = await t.passive()
    c.tx("FA", b"end")
    await c.acked()
    c.tx("PA", b"more")
    await c.all(0.1)
    await t.delivered(b"end")
    answer = await t.agent.call("recv a 1")
    expect(answer in ("ok eof", "err ECONNRESET"), answer)


async def time_wait(t, ts=False, name="a"):
    """A connection in TIME-WAIT; the peer has acknowledged everything."""
    c = await t.passive(ts=ts, name=name)
    await t.agent.ok(f"close {name}")
    await c.rx("FA", seq=1)
    c.tx("FA")
    await c.rx("A", seq=2, ack=2)
    return c


@case("MUST-13", "TIME-WAIT acknowledges a repeated FIN, which begins it anew, and ends after 2 MSL", profile="fast", seconds=4,
      families="46")
async def time_wait_length(t):
    c = await time_wait(t)
    for _ in range(4):  # 1.5 s each time on mango, 60 on Linux
        await asyncio.sleep(0.7)
        c.tx("FA", seq=1)
        await c.rx("A", seq=2, ack=2)
    if t.is_mango:
        await asyncio.sleep(1.8)
        c.tx("FA", seq=1)
        await c.rx("R", seq=2)


@case("RFC-1337", "TIME-WAIT is not ended by RST, nor by old data", families="46")
async def time_wait_assassination(t):
    c = await time_wait(t)
    c.tx("R", seq=2)
    c.tx("R", seq=1)
    c.tx("PA", b"old", seq=0)
    await c.all(0.1)
    c.tx("FA", seq=1)
    await c.rx("A", seq=2, ack=2)


@case("SHLD-4 MAY-2 RFC-6191", "TIME-WAIT accepts a SYN with a larger timestamp, or a larger number; not an older one",
      families="46")
async def time_wait_reuse(t):
    c = await time_wait(t, ts=True)
    iss, irs = c.iss, c.irs
    # an old SYN: smaller number, smaller timestamp
    c.tx("S", seq=-100000, options=pk.mss(1460) + b"\1\1" + pk.timestamps(c.clock() - 100000, 0), ts=None)
    p = await c.next(0.2)
    expect(p is None or p.flags == "A", "an old SYN was accepted")
    # larger timestamp, smaller number
    t.allow("SHLD-14", "beyond the window")
    c2 = t.conn(lport=c.lport, rport=c.rport)
    c2.iss = (iss - 50000) % pk.MOD
    c2.ts_base = c.ts_base + 5000
    p = await c2.open(ts=True)
    await t.agent.ok("accept l b")
    await talk(t, c2, "b")


@case("SHLD-4 MAY-2", "TIME-WAIT without timestamps accepts a SYN with a larger number only", families="46")
async def time_wait_reuse_number(t):
    c = await time_wait(t)
    c.tx("S", seq=-5000, options=pk.mss(1460))
    p = await c.next(0.2)
    expect(p is None or p.flags == "A", "an old SYN was accepted")
    t.allow("SHLD-14", "beyond the window")
    c2 = t.conn(lport=c.lport, rport=c.rport)
    c2.iss = (c.iss + 70000) % pk.MOD
    await c2.open()
    await t.agent.ok("accept l b")
    await talk(t, c2, "b")


@case("RFC-9293", "FIN-WAIT-2 of a closed socket does not last for ever", profile="fast", seconds=4, families="46")
async def fin_wait_2_timeout(t):
    c = await t.passive()
    await t.agent.ok("close a")
    await c.rx("FA", seq=1)
    c.tx("A")
    await asyncio.sleep(2.6)
    c.tx("PA", b"anybody?")
    p = await c.rx(within=0.5)
    expect("R" in p.flags, f"found {c.describe(p)}")


@case("MUST-12 RFC-9293", "closing a listener resets what nobody accepted", families="46")
async def listener_closed(t):
    c = await t.passive(accept=False)
    await t.agent.ok("close l")
    p = await c.rx(within=1)
    expect("R" in p.flags, f"found {c.describe(p)}")
    c2 = t.conn(rport=t.port)
    c2.tx("S", options=c2.syn_options())
    p = await c2.rx("RA", ack=1)


@case("MUST-12", "close lets data that was sent before arrive, then FIN", families="46")
async def close_after_data(t):
    c = await t.passive()
    t.agent.start("sendn a 50000")
    closing = t.agent.start("close a")
    segments = await c.data(50000)
    equal(b"".join(p.data for p in segments)[:50000], pattern(50000), "the stream")
    await t.agent.done(closing)
    if c.rcv_nxt == 50001:
        await c.rx("FA", seq=50001)
    c.tx("FA")
    await c.rx("A", ack=2)
