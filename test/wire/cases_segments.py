# SPDX-License-Identifier: Apache-2.0
"""Segments as such: checksums, options, addresses, IP headers."""
import time

import packet as pk
from case import case, pattern
from peer import between, equal, expect


@case("MUST-2", "every kind of segment has a right checksum, at even and odd lengths", families="46")
async def checksums_sent(t):
    c = await t.passive(set_={"nodelay": 1})
    for n in (1, 2, 3, 7, 1000, 1459):
        await t.agent.ok(f"sendn a {n}")
        segments = await c.data(n)
        equal(b"".join(s.data for s in segments), pattern(n), f"{n} bytes")
    c.tx("PA", b"odd")
    await c.acked()
    await t.agent.ok("abort a")
    await c.rx("RA")


@case("MUST-3", "a wrong checksum is dropped without a word: SYN, data, FIN, RST", families="46")
async def bad_checksum(t):
    await t.listen()
    for wrong in (True, 0):
        s = t.conn(rport=t.port)
        s.tx("S", options=s.syn_options(), bad_checksum=wrong, seq=0)
        await s.none(0.05)
        c = await t.passive(name=f"a{wrong}")
        for flags, data in (("PA", b"x"), ("FA", b""), ("R", b""), ("A", b"yy")):
            c.tx(flags, data, seq=c.snd_nxt, bad_checksum=wrong)
        await c.none(0.05)
        c.tx("PA", b"good")
        await c.acked()
        await t.delivered(b"good", f"a{wrong}")


@case("MUST-4 MUST-64", "EOL, NOP runs and MSS at every alignment", families="46")
async def options_aligned(t):
    await t.listen(options={"nodelay": 1})
    for i, options in enumerate([b"\1" * n + pk.mss(700) + b"\1" * (20 - n) for n in range(0, 20)] +
                                [pk.mss(700) + b"\0" + b"\2\4\1\0", b"\1" * 36 + pk.mss(700)]):
        c = t.conn(rport=t.port)
        c.syn_options(mss=700)
        c.wanted = (None, False, False)
        c.tx("S", options=options)
        c.agree(await c.rx("SA", ack=1))
        c.tx()
        await t.agent.ok(f"accept l s{i}")
        await t.agent.ok(f"sendn s{i} 1400")
        equal([len(s.data) for s in await c.data(1400)], [700, 700], f"segments, options {options.hex()}")


@case("MUST-5 MUST-6", "unknown and misplaced options on data, FIN and ACK change nothing", families="46")
async def options_anywhere(t):
    c = await t.passive()
    sent = b""
    for kind in (6, 30, 0x46, 0xfd, 0xfe):
        for length in (0, 1, 2, 14, 36, 38):
            c.tx("PA", b"d%d" % length, options=pk.opt(kind, bytes(length)))
            sent += b"d%d" % length
            await c.acked()
    c.tx("PA", b"mss", options=pk.mss(1000) + pk.opt(pk.SACK_OK) + b"\1\1" + pk.wscale(3) + b"\1")
    await c.acked()
    c.tx("A", options=pk.opt(0x46, b"xx"))
    await t.delivered(sent + b"mss")
    c.tx("FA", options=pk.opt(0xfd, b"xx"))
    await c.acked()
    equal(await t.agent.ok("recv a 1"), ["eof"], "end of stream")


@case("MUST-6", "unknown options in a SYN", families="46")
async def unknown_on_syn(t):
    await t.listen()
    for i, length in enumerate((0, 1, 6, 17, 32)):
        c = t.conn(rport=t.port)
        await c.open(wscale=None, sack=False, more=pk.opt(0x46, bytes(length)))
        await t.agent.ok(f"accept l s{i}")
        c.tx("PA", b"hello")
        await c.acked()


@case("MUST-7", "illegal option lengths: no crash, no loop; the segment counts without its options, or not at all",
      families="46")
async def illegal_lengths(t):
    await t.listen()
    bad = [b"\x46\0", b"\x46\1", b"\x46\x28", b"\x46", b"\2\3\5", b"\2\5\5\5\5", b"\5\3\1", b"\5\x0b" + bytes(9),
           b"\3\4\1\1", b"\x08\x09" + bytes(7), b"\x08\0", b"\2\0", b"\x22\0", b"\x22\1", b"\x1c\2", b"\1\1\1\5"]
    for i, options in enumerate(bad):
        s = t.conn(rport=t.port)
        s.tx("S", options=options)
        p = await s.next(0.3)
        if p is not None and "R" not in p.flags:
            s.agree_nothing = True
            s.tx("RA", seq=1, ack=1)
        c = await t.passive(name=f"b{i}")
        c.tx("A", b"", options=options)
        c.tx("PA", b"xyz", options=options)
        p = await c.next(0.3)
        if p is not None and "R" not in p.flags and c.rel_ack(p) == c.snd_nxt:
            await t.delivered(b"xyz", f"b{i}")


@case("MUST-14 MUST-16 RFC-6691", "no segment above the peer's MSS, with timestamps less", families="46")
async def mss_honoured(t):
    for i, size in enumerate((88, 536, 1000, 1460, 9000)):
        for ts in (False, True):
            c = await t.passive(mss=size, ts=ts, name=f"m{i}{ts}")
            n = 5 * size
            await t.agent.ok(f"sendn m{i}{ts} {n}")
            segments = await c.data(n)
            limit = min(size, 1460 if t.family == 4 else 1440) - (12 if ts else 0)
            equal(max(len(s.data) for s in segments), limit, f"largest segment for MSS {size}, timestamps {ts}")


@case("MUST-14", "an MSS of 64 is kept")
async def mss_tiny(t):
    c = await t.passive(mss=64)
    await t.agent.ok("sendn a 300")
    equal(max(len(s.data) for s in await c.data(300)), 64, "largest segment")


@case("MUST-15", "without an MSS offer: 536 bytes (IPv4), 1220 (IPv6)", families="46")
async def mss_default(t):
    c = await t.passive(mss=None)
    await t.agent.ok("sendn a 4000")
    equal(max(len(s.data) for s in await c.data(4000)), 536 if t.family == 4 else 1220, "largest segment")


@case("MUST-67 SHLD-5 SHLD-6 MAY-3", "the MSS offered, in SYN and SYN-ACK, is the MTU less the headers", families="46")
async def mss_offered(t):
    wanted = t.device.mtu - (40 if t.family == 4 else 60)
    await t.listen()
    c = t.conn(rport=t.port)
    equal((await c.open()).mss, wanted, "SYN-ACK")
    c = await t.active()
    equal(c.syn.mss, wanted, "SYN")


@case("MUST-63", "SYNs from invalid sources are ignored")
async def bad_sources(t):
    await t.listen()
    for source in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.77.0.1", "10.77.255.255", "240.0.0.1"):
        src = pk.addr(source)
        if source != "10.77.0.1":
            t.add_host(src)
        t.send_ip(pk.TCP, pk.tcp(src, t.dut_addr, 999, t.port, 1, 0, "S", 1000, b"", pk.mss(1460)), src=src)
    await t.nothing()


@case("MUST-57", "SYNs to broadcast and multicast addresses, of Ethernet or IP, are ignored")
async def broadcast_syn(t):
    await t.listen()
    everyone, group = b"\xff" * 6, bytes.fromhex("01005e000001")
    for dst, mac in (("255.255.255.255", everyone), ("10.77.255.255", everyone), ("224.0.0.1", group),
                     ("10.77.0.1", everyone), ("10.77.0.1", group), ("224.0.0.1", None)):
        to = pk.addr(dst)
        t.send_ip(pk.TCP, pk.tcp(t.peer, to, 999, t.port, 1, 0, "S", 1000, b"", pk.mss(1460)), dst=to, dst_mac=mac)
    await t.nothing()


@case("MUST-50 MAY-10 MAY-11", "IP options that mean nothing to TCP are stepped over")
async def ip_options(t):
    await t.listen()
    record_route = b"\x07\x07\x04" + bytes(4)
    stamp = b"\x44\x0c\x05\x00" + bytes(8)
    unknown = b"\x5e\x04\x01\x02"
    for i, options in enumerate((b"\1\1\1\1", record_route, stamp, b"\1\1\1\1" * 10, unknown)):
        c = t.conn(rport=t.port)
        c.ip = {"options": options}
        await c.open()
        c.tx("PA", b"with options")
        await c.acked()
        await t.agent.ok(f"accept l o{i}")
        await t.delivered(b"with options", f"o{i}")


@case("MUST-51 MUST-52 MUST-53 SHLD-24", "source-routed segments are dropped or answered; nothing else breaks")
async def source_routes(t):
    await t.listen()
    for kind in (0x83, 0x89):
        c = t.conn(rport=t.port)
        c.ip = {"options": bytes([kind, 7, 4]) + t.dut_addr}
        c.tx("S", options=c.syn_options())
        p = await c.next(0.2)
        expect(p is None or p.has("SA"), "an odd answer")
    await t.passive()


async def conversation(t, c, name="a"):
    """Leaves the state in which a new connection acknowledges everything at once."""
    for _ in range(2):
        c.tx("PA", b"?")
        await t.agent.ok(f"recv {name} 1")
        await t.agent.ok(f"send {name} 21")
        await c.until(lambda p: p.data, what="an answer")
        c.tx()
    await c.all(0.06)


@case("MUST-58 MUST-59 SHLD-18 SHLD-19 RFC-5681", "a burst is acknowledged with fewer segments than it has, at least "
      "every second full one when they come singly", families="46")
async def acks_aggregate(t):
    c = await t.passive()
    await conversation(t, c)
    c.write(pattern(1460 * 20), size=1400)
    acks = []
    while not acks or c.rel_ack(acks[-1]) < c.snd_nxt:
        acks.append(await c.rx("A"))
    expect(len(acks) < 20, f"{len(acks)} acknowledgements for 20 segments")
    await t.agent.ok("recv a 29200")
    await c.all(0.1)
    await conversation(t, c)
    start = c.snd_nxt
    reading = t.agent.start("recv a 8400")
    for i in range(6):
        c.tx("A", bytes(1400))
        p = await c.next(0.02)
        if i % 2 == 1:
            expect(p is not None or c.snd_una >= start + 1400 * i, "no acknowledgement after two full segments")
    await t.agent.done(reading)


@case("MUST-40 SHLD-18", "a single small segment is acknowledged within 500 ms", families="46")
async def ack_in_time(t):
    c = await t.passive()
    c.tx("PA", b"a")
    await c.acked()
    for i in range(20):  # out of quick acknowledgements
        c.tx("PA", bytes(100))
    await c.acked()
    sent = time.time_ns()
    c.tx("PA", b"b")
    p = await c.acked(within=1)
    between(0, (p.when - sent) / 1e6, 500, "milliseconds until the acknowledgement")


@case("MUST-60 MUST-61 MAY-14 MAY-15", "small writes do not wait; the last segment of a write has PSH", families="46")
async def push_at_the_end(t):
    c = await t.passive()
    await t.agent.ok("sendn a 10")
    p = await c.rx("A", length=10, within=0.5)
    expect(p.has("P"), "no PSH on a small write")
    c.tx()
    await t.agent.ok("sendn a 5000")
    segments = await c.data(5000)
    expect(segments[-1].has("P"), "no PSH on the last segment")


@case("MUST-65 MUST-68 MUST-69", "the options sent are well formed in every kind of segment", families="46")
async def options_sent(t):
    await t.listen()
    for ts in (False, True):
        for sack in (False, True):
            for shift in (None, 7):
                c = t.conn(rport=t.port)
                p = await c.open(ts=ts, sack=sack, wscale=shift)
                equal((p.ts is not None, p.option(pk.SACK_OK) is not None, p.wscale is not None), (ts, sack,
                      shift is not None), "options of the SYN-ACK: timestamps, SACK, scale")
                expect(p.option(pk.MSS) is not None, "no MSS")
                c.tx("A", b"later", seq=c.snd_nxt + 10)
                p = await c.rx("A", ack=1)
                equal(bool(p.sack), sack, "a SACK block")
    c = await t.active()
    expect(c.syn.ts and c.syn.wscale is not None and c.syn.option(pk.SACK_OK) is not None, "a SYN offers everything")


@case("SHLD-31 RFC-2018", "data out of order is kept: one acknowledgement after the gap closes", families="46")
async def out_of_order_kept(t):
    c = await t.passive()
    blocks = [pattern(1000, i * 1000) for i in range(5)]
    for i in (1, 2, 3, 4):
        c.tx("A", blocks[i], seq=1 + i * 1000)
        p = await c.rx("A", ack=1)
        equal(c.rel_sack(p), [(1001, 1001 + i * 1000)], "SACK blocks")
    c.tx("PA", blocks[0], seq=1)
    c.snd_nxt = 5001
    await c.rx("A", ack=5001)
    await t.delivered(b"".join(blocks))


@case("MAY-13 RFC-5681", "out of order data and the filling of a gap are acknowledged at once")
async def immediate_acks(t):
    c = await t.passive()
    for seq, wanted in ((1001, 1), (2001, 1), (1, 3001)):
        now = time.time_ns()
        c.tx("A", bytes(1000), seq=seq)
        p = await c.rx("A", ack=wanted, within=0.5)
        between(0, (p.when - now) / 1e6, 30, "milliseconds until the acknowledgement")
    c.snd_nxt = 3001
