# SPDX-License-Identifier: Apache-2.0
"""Blind attacks (RFC 5961), SYN floods and cookies (RFC 4987), fragments, extension headers."""
import asyncio
import struct

import packet as pk
from case import case, pattern
from cases_handshake import talk
from peer import Skip, between, equal, expect


@case("RFC-5961", "RST: exact resets, inside the window is challenged, outside is dropped", families="46")
async def rst_numbers(t):
    c = await t.passive()
    for offset in (1, 100, 60000):
        c.tx("R", seq=c.snd_nxt + offset)
        p = await c.rx("A", seq=1, ack=1)
    for offset in (-1, -1000, 1 << 29, 1 << 31, (1 << 32) - 70000):
        c.tx("R", seq=c.snd_nxt + offset)
    await c.none(0.1)
    c.tx("PA", b"alive")
    await c.acked()
    c.tx("R")
    await t.delivered(b"alive") if t.is_mango else None
    answer = await t.agent.call("recv a 1")
    expect(answer in ("err ECONNRESET", "ok 61"), answer)


@case("RFC-5961", "RST in every number of the challenge: the answer says what would reset", families="46")
async def challenge_then_reset(t):
    c = await t.passive()
    c.tx("PA", bytes(500))
    await c.acked()
    c.tx("R", seq=c.snd_nxt + 7)
    p = await c.rx("A")
    equal(c.rel_ack(p), c.snd_nxt, "the challenge's acknowledgement")
    c.tx("R", seq=c.rel_ack(p))
    await asyncio.sleep(0.05)
    await t.agent.call("recv a 500")
    await t.agent.error("recv a 1", "ECONNRESET")


@case("RFC-5961", "SYN on an established connection is challenged, whatever its number", families="46")
async def syn_challenged(t):
    c = await t.passive()
    for offset in (-1, 0, 1, 1000, 1 << 30, -(1 << 30)):
        c.tx("S", seq=c.snd_nxt + offset, options=pk.mss(1460), ts=None)
        p = await c.rx("A", seq=1, ack=1)
    c.tx("SA", seq=0, options=pk.mss(1460), ts=None)
    await c.rx("A", seq=1, ack=1)
    c.sent_end = None
    await talk(t, c)


@case("RFC-5961 MAY-12", "data whose ACK is too old or of the future is dropped and answered", families="46")
async def ack_range(t):
    c = await t.passive(wscale=None)
    for ack in (2, 100, 1 << 30):
        c.tx("PA", b"evil", seq=c.snd_nxt, ack=1 + ack)
        await c.rx("A", seq=1, ack=1)
    for ack in (-70000 - 65535, -(1 << 30)):
        c.tx("PA", b"evil", seq=c.snd_nxt, ack=ack)
        p = await c.next(0.1)
        expect(p is None or c.rel_ack(p) == 1, "data with an ancient ACK was taken")
    c.tx("PA", b"good")
    await c.acked()
    await t.delivered(b"good")


@case("RFC-5961", "challenge ACKs are bounded", families="46", seconds=2)
async def challenges_bounded(t):
    c = await t.passive()
    for i in range(3000):
        c.tx("S", seq=c.snd_nxt + 1000 + i, options=pk.mss(1460), ts=None)
        if i % 100 == 0:
            await asyncio.sleep(0.001)
    found = await c.all(0.3)
    expect(0 < len(found) < 2900 or not t.is_mango, f"{len(found)} challenge ACKs for 3,000 SYNs")
    if t.is_mango:
        expect(len(found) <= 100, f"{len(found)} challenge ACKs for 3,000 SYNs on one connection")
    c.sent_end = None
    c.tx("PA", b"alive")
    await c.acked()


@case("RFC-9293", "a segment without ACK in an established connection is dropped", families="46")
async def no_ack_dropped(t):
    c = await t.passive()
    c.tx("P", b"data", seq=c.snd_nxt)
    c.tx("F", seq=c.snd_nxt)
    c.tx("", seq=c.snd_nxt)
    await c.none(0.1)
    c.tx("PA", b"good")
    await c.acked()
    await t.delivered(b"good")


@case("RFC-4987", "SYN cookies: the handshake works without memory of the SYN; options live in the timestamp",
      profile="cookies", families="46")
async def cookies(t):
    for i, (ts, wscale, mss) in enumerate(((True, 7, 1460), (False, None, 1460), (True, None, 536), (False, None, 1300),
                                           (True, 14, 1440))):
        if t.family == 6:
            mss = max(mss, 1220)  # no smaller one has a place in a cookie
        if not t.is_mango:
            t.allow("SHLD-14")  # it computes another window when the cookie comes back
        c = await t.passive(name=f"k{i}", ts=ts, wscale=wscale if ts else None, sack=ts, mss=mss)
        await t.agent.ok(f"sendn k{i} 3000")
        segments = await c.data(3000)
        expect(max(len(p.data) for p in segments) <= mss, "segments above the MSS")
        c.write(pattern(2000))
        await c.acked()
        equal(await t.agent.ok(f"recv k{i} 2000"), [pattern(2000).hex()], "data")


@case("RFC-4987", "an ACK with a wrong cookie is reset", profile="cookies", families="46")
async def wrong_cookie(t):
    await t.listen()
    c = t.conn(rport=t.port)
    c.tx("S", options=c.syn_options(ts=False, wscale=None), ts=None)
    p = await c.rx("SA")
    for delta in (0x10000000, 0x12345678, -0x7654321):
        c.tx("A", ack=1 + delta)
        q = await c.rx("R")
    c.irs = 12345
    c2 = t.conn(rport=t.port)  # out of nothing
    c2.irs, c2.rcv_nxt = 99, 1
    c2.tx("A", seq=1)
    await c2.rx("R")


@case("RFC-4987", "a flood of SYNs from nowhere: established connections and new ones go on", seconds=5, limit=60, alone=True,
      profile="flood")
async def syn_flood(t):
    old = await t.passive(name="old")
    nowhere = struct.Struct("!4B")
    src = bytearray(4)
    for i in range(20000):
        src = bytes((10, 77, 200 + i % 50, 1 + i // 50 % 250))
        t.wire.send(pk.ethernet(t.device.mac, b"\x02\x77\0\0\0\1", pk.ip4(src, t.dut_addr, pk.TCP, pk.tcp(
            src, t.dut_addr, 1024 + i % 60000, t.port, i * 7919, 0, "S", 65535, b"", pk.mss(1460)))))
        if i % 200 == 0:
            await asyncio.sleep(0.002)
        if i % 2000 == 0:
            old.tx("PA", b"still here")
            await old.acked(within=2)
            await t.agent.ok("recv old 10")
    for i in range(5):
        c = await t.passive(name=f"n{i}")
        await talk(t, c, f"n{i}")


@case("RFC-791", "a segment in fragments, in any order: reassembled", families="46")
async def fragments(t):
    c = await t.passive()
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        data = pattern(1000)
        segment = c.segment("PA", data)
        send_fragments(t, c, segment, [(0, 400), (400, 800), (800, len(segment))], order)
        c.snd_nxt += len(data)
        await c.acked(within=1)
        equal(await t.agent.ok("recv a 1000"), [data.hex()], "data")


def send_fragments(t, c, payload, pieces, order, ident=None):
    ident = t.random.getrandbits(16 if t.family == 4 else 32) if ident is None else ident
    for i in order:
        a, b = pieces[i]
        more = b < len(payload)
        if t.family == 4:
            t.send_ip(pk.TCP, payload[a:b], src=c.src, ident=ident, df=False, more=more, offset=a)
        else:
            head = struct.pack("!BBHI", pk.TCP, 0, a | more, ident)
            t.send_ip(pk.TCP, payload[a:b], src=c.src, extension=head, first=pk.FRAGMENT6)


@case("RFC-791 RFC-5722", "overlapping fragments are dropped, all of them", families="46")
async def fragments_overlap(t):
    c = await t.passive()
    data = pattern(1000)
    segment = c.segment("PA", data, seq=c.snd_nxt)
    send_fragments(t, c, segment, [(0, 400), (392, 800), (800, len(segment))], (0, 1, 2))
    p = await c.next(0.15)
    if p is not None:  # Linux takes IPv4 fragments whose overlap agrees
        expect(t.family == 4 and not t.is_mango, "overlapping fragments were taken")
        return
    c.tx("PA", data)
    await c.acked()
    equal(await t.agent.ok("recv a 1000"), [data.hex()], "data")


@case("RFC-791", "tiny, lonely and impossible fragments harm nothing", families="46")
async def fragments_odd(t):
    c = await t.passive()
    segment = c.segment("PA", pattern(1000), seq=c.snd_nxt)
    send_fragments(t, c, segment, [(0, 8), (8, 16)], (0, 1))
    send_fragments(t, c, segment, [(800, len(segment))], (0,))
    send_fragments(t, c, segment + bytes(2000), [(0, 1000)] * 3, (0, 1, 2))
    if t.family == 4:
        t.send_ip(pk.TCP, bytes(1400), src=c.src, ident=5, df=False, more=False, offset=65528)
        t.send_ip(pk.TCP, b"", src=c.src, ident=6, df=False, more=True, offset=0)
    await c.none(0.1)
    c.tx("PA", b"alive")
    await c.acked()
    await t.delivered(b"alive")


@case("RFC-8200", "extension headers before TCP are stepped over: hop-by-hop, destination options, routing with nothing left",
      families="6")
async def extension_headers(t):
    await t.listen()
    pad = lambda nxt: bytes([nxt, 0, 1, 4, 0, 0, 0, 0])
    routing = lambda nxt: bytes([nxt, 0, 253, 0, 0, 0, 0, 0])
    for i, (first, extension) in enumerate(((0, pad(6)), (60, pad(6)), (0, pad(60) + pad(6)), (43, routing(6)))):
        c = t.conn(rport=t.port)
        c.ip = {"extension": extension, "first": first}
        await c.open()
        await t.agent.ok(f"accept l e{i}")
        c.tx("PA", b"hello")
        await c.acked()
        await t.delivered(b"hello", f"e{i}")


@case("RFC-791 RFC-1812", "wrong IP headers: checksum, version, lengths, TTL 0 are dropped without a word")
async def wrong_ip(t):
    await t.listen()
    c = t.conn(rport=t.port)
    c.irs = None
    segment = pk.tcp(c.src, t.dut_addr, c.lport, c.rport, 1, 0, "S", 1000, b"", pk.mss(1460))
    t.send_ip(pk.TCP, segment, bad_checksum=True)
    whole = bytearray(pk.ip4(c.src, t.dut_addr, pk.TCP, segment))
    for at, value in ((0, 0x55), (0, 0x44), (0, 0x4f), (3, 10), (2, 5)):
        wrong = bytearray(whole)
        wrong[at] = value
        wrong[10:12] = b"\0\0"
        wrong[10:12] = struct.pack("!H", pk.checksum(bytes(wrong[:20])))
        t.send_frame(pk.ethernet(t.device.mac, b"\x02\x77\0\0\0\1", bytes(wrong), pk.ETH_IP))
    for n in (0, 1, 8, 19):
        t.send_ip(pk.TCP, segment[:n])
    t.send_ip(pk.TCP, segment, dst=pk.addr("10.77.0.200"))  # not the device's address
    await c.none(0.1)
    await c.open()


@case("RFC-9293", "wrong TCP headers: data offset below 5 or beyond the segment", families="46")
async def wrong_offset(t):
    c = await t.passive()
    for offset in (0, 4, 15, 10):
        c.tx("PA", b"data", seq=c.snd_nxt, offset=offset)
    await c.all(0.1)
    answer = t.agent.start("recv a 4")
    c.tx("PA", b"good")
    await c.acked()
    equal(await t.agent.done(answer), [b"good".hex()], "data")
