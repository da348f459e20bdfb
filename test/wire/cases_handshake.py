# SPDX-License-Identifier: Apache-2.0
"""Opening: initial sequence numbers, SYN-SENT, SYN-RECEIVED, simultaneous open, ports, addresses, first windows."""
import asyncio
import time

import packet as pk
from case import case, pattern
from dut import ADDR4, SECOND4
from packet import MOD, distance
from peer import Skip, between, equal, expect


async def isn_of(t, c):
    """One ISN of the device for this tuple, and when."""
    c.irs, c.established, c.snd_nxt, c.rcv_nxt = None, False, 0, 0
    c.sent_end = c.our_edge = c.watch.edge = None
    c.iss = t.random.getrandbits(32)
    c.tx("S", options=c.syn_options(), ts=None)
    p = await c.rx("SA", ack=1)
    c.tx("R", seq=1)
    return p.seq, p.when


@case("MUST-8 SHLD-1 RFC-6528", "the ISN of one tuple runs with a clock", families="46", seconds=2)
async def isn_clock(t):
    await t.listen()
    c = t.conn(rport=t.port)
    found = []
    for _ in range(8):
        found.append(await isn_of(t, c))
        await asyncio.sleep(0.1)
    slopes = [(b - a) % MOD / ((w - v) / 1e9) for (a, v), (b, w) in zip(found, found[1:])]
    for slope in slopes:
        between(slopes[0] * 0.9, slope, slopes[0] * 1.1, "numbers a second, against the first pair")
    between(240e3, slopes[0], 20e6, "numbers a second")


@case("MUST-9 RFC-6528", "the ISNs of different tuples have nothing to do with each other", families="46", seconds=2)
async def isn_unpredictable(t):
    await t.listen(backlog=512)
    found = [(await isn_of(t, t.conn(lport=30000 + i, rport=t.port)))[0] for i in range(200)]
    steps = [abs(distance(b, a)) for a, b in zip(found, found[1:])]
    near = sum(step < 1 << 24 for step in steps)  # by chance: one in 128
    expect(near <= 12, f"{near} of 199 numbers are near the one before")
    equal(len({n >> 27 for n in found}) > 25, True, "all parts of the space are used")


@case("MUST-10 RFC-9293", "simultaneous open, ended by an ACK; data flows", families="46")
async def simultaneous_open_ack(t):
    c, connecting = await t.connecting()
    await c.rx("S", seq=0)
    c.tx("S", options=c.syn_options(), ts=None)
    c.agree(await c.rx("SA", seq=0, ack=1))
    c.tx()
    await t.agent.done(connecting)
    await talk(t, c)


@case("MUST-10 RFC-9293", "simultaneous open, ended by a SYN-ACK", families="46")
async def simultaneous_open_synack(t):
    c, connecting = await t.connecting()
    await c.rx("S", seq=0)
    c.tx("S", options=c.syn_options(), ts=None)
    c.agree(await c.rx("SA", seq=0, ack=1))
    c.tx("SA", seq=0, options=c.syn_options(), ts=None)
    await t.agent.done(connecting)
    await c.all(0.05)
    await talk(t, c)


async def talk(t, c, name="a"):
    """Data both ways."""
    c.tx("PA", b"ping")
    await c.acked()
    await t.delivered(b"ping", name)
    await t.agent.ok(f"send {name} {b'pong'.hex()}")
    p = await c.until(lambda p: p.data, what="the answer")
    equal(p.data, b"pong", "the answer")
    c.tx()


@case("RFC-9293", "TCP_DEFER_ACCEPT: ready with data; a bare ACK is taken after the time only", families="46", seconds=3)
async def defer_accept(t):
    await t.listen(options={"defer_accept": 1})
    accepting = t.agent.start("accept l a")
    c = t.conn(rport=t.port)
    await c.open()
    equal(await c.all(0.3), [], "what comes while it waits")
    c.tx("PA", b"ping")
    await c.acked()
    await t.agent.done(accepting)
    await t.delivered(b"ping")
    accepting = t.agent.start("accept l b")
    c = t.conn(rport=t.port)
    await c.open()
    await c.rx("SA", seq=0, ack=1)  # it asks once more
    c.tx()
    await t.agent.done(accepting)
    await t.agent.ok(f"send b {b'pong'.hex()}")
    p = await c.until(lambda p: p.data, what="the greeting")
    equal(p.data, b"pong", "the greeting")
    c.tx()


@case("MUST-11 RFC-1122", "RST in a passive SYN-RECEIVED: back to LISTEN, no application hears of it", families="46")
async def synrcvd_rst_passive(t):
    await t.listen()
    c = t.conn(rport=t.port)
    await c.open(ack=False)
    c.tx("R", seq=1)
    await c.none(0.05)
    c2 = t.conn(rport=t.port)
    await c2.open()
    await t.agent.ok("accept l b")
    await talk(t, c2, "b")
    c.tx("A", seq=1, ack=1)
    await c.rx("R", seq=1)


@case("MUST-11", "RST in an active SYN-RECEIVED: connection refused", families="46")
async def synrcvd_rst_active(t):
    c, connecting = await t.connecting()
    await c.rx("S")
    c.tx("S", options=c.syn_options(), ts=None)
    await c.rx("SA", ack=1)
    c.tx("RA")
    await t.agent.failed(connecting, "ECONNREFUSED|ECONNRESET")


@case("RFC-1122 RFC-9293", "SYN-SENT: an ACK of something else is reset, and the connection goes on", families="46")
async def synsent_bad_ack(t):
    c, connecting = await t.connecting()
    await c.rx("S")
    for flags in ("SA", "A"):
        for ack in (0, 2, 5, 1 << 30):
            c.tx(flags, seq=0, ack=ack, options=pk.mss(1460) if "S" in flags else b"")
            p = await c.rx("R")
            equal(c.rel_seq(p), ack, "the number of the RST")
    c.tx("SA", options=c.syn_options(), ts=None, seq=0, ack=1)
    c.snd_nxt = 1
    c.established = False
    p = await c.until(lambda p: p.flags == "A", what="the ACK of the SYN-ACK")
    await t.agent.done(connecting)


@case("RFC-9293 RFC-5961", "SYN-SENT: RST without ACK, with a wrong ACK, or FIN, are ignored; RST-ACK refuses", families="46")
async def synsent_rst(t):
    c, connecting = await t.connecting()
    await c.rx("S")
    c.tx("R", seq=0)
    c.tx("RA", seq=0, ack=0)
    c.tx("RA", seq=0, ack=5)
    c.tx("F", seq=0)
    c.tx("", b"data", seq=0)
    await c.none(0.1, but=lambda p: p.flags == "S")  # Linux tries again at once
    equal(connecting.done(), False, "connect has ended")
    c.tx("RA", seq=0, ack=1)
    await t.agent.failed(connecting, "ECONNREFUSED")


@case("MUST-22 RFC-6298", "an unanswered SYN is sent again with doubled waits, then connect fails with ETIMEDOUT",
      profile="fast", seconds=8)
async def syn_retransmits(t):
    c, connecting = await t.connecting()
    seen = [await c.rx("S")]
    while not connecting.done():
        p = await c.next(0.2)
        if p is not None:
            seen.append(p)
        expect(len(seen) < 20, "no end")
    await t.agent.failed(connecting, "ETIMEDOUT")
    gaps = [(b.when - a.when) / 1e6 for a, b in zip(seen, seen[1:])]
    first = 50 if t.is_mango else 1000
    equal(len(seen), 6 if t.is_mango else 3, "SYNs")
    for i, gap in enumerate(gaps):
        wait = min(first * 2 ** i, 1000)
        between(wait * (0.8 if i else 0.5), gap, wait * 1.3 + 30, f"milliseconds before retransmission {i + 1}")  # ARP delays the first SYN


@case("MUST-22 RFC-6298", "by default the first SYN is repeated after one second, then two", seconds=4)
async def syn_default_times(t):
    c, _ = await t.connecting()
    a = await c.rx("S")
    b = await c.rx("S", within=2)
    equal(b.seq, a.seq, "the same number")
    between(900, (b.when - a.when) / 1e6, 1300, "milliseconds before the first")
    d = await c.rx("S", within=3)
    if t.is_mango:  # Linux begins with four linear ones
        between(1900, (d.when - b.when) / 1e6, 2300, "milliseconds before the second")
    c.tx("RA", seq=0, ack=1)


@case("MUST-23", "connect gives up after three minutes, not earlier", long=True, limit=320, seconds=310)
async def syn_three_minutes(t):
    c, connecting = await t.connecting()
    start = time.monotonic()
    await t.agent.failed(connecting, "ETIMEDOUT", 300)
    between(180, time.monotonic() - start, 300, "seconds until ETIMEDOUT")


@case("RFC-4987 RFC-6298", "SYN-ACKs are repeated a bounded number of times with doubled waits", profile="fast", seconds=7)
async def synack_retransmits(t):
    await t.listen()
    c = t.conn(rport=t.port)
    p = await c.open(ack=False)
    seen = [p]
    again = 3 if t.is_mango else 2
    first = 50 if t.is_mango else 1000
    while len(seen) < again + 1:
        seen.append(await c.rx("SA", seq=0, ack=1, within=5))
    await c.none(1.2 if t.is_mango else 3)
    gaps = [(b.when - a.when) / 1e6 for a, b in zip(seen, seen[1:])]
    for i, gap in enumerate(gaps):
        between(min(first * 2 ** i, 1000) * 0.8, gap, first * 2 ** i * 1.4 + 50, f"milliseconds before retransmission {i + 1}")


@case("RFC-9293", "a repeated SYN in SYN-RECEIVED gets the same SYN-ACK", families="46")
async def synack_again(t):
    await t.listen()
    c = t.conn(rport=t.port)
    first = await c.open(ack=False)
    options = c.syn_options()
    c.tx("S", seq=0, options=options, ts=None)
    again = await c.rx("SA", ack=1)
    equal(again.seq, first.seq, "sequence number")
    c.tx()
    await t.agent.ok("accept l a")
    await talk(t, c)


@case("RFC-9293 MUST-12", "a closed port answers every segment with the RST of the RFC, and RSTs not at all", families="46")
async def closed_port(t):
    dead = t.port + 1
    for flags, data in (("S", b""), ("S", b"data"), ("SA", b""), ("A", b""), ("PA", b"data"), ("F", b""), ("FA", b"xy"),
                        ("", b"z"), ("SF", b"")):
        c = t.conn(rport=dead)
        c.irs = 0
        c.rcv_nxt = 4242
        c.tx(flags, data, seq=0)
        p = await c.rx(within=0.5)
        if "A" in flags:
            equal((p.flags, p.seq, p.ack), ("R", 4242, 0), f"answer to {flags}")
        else:
            span = len(data) + ("S" in flags) + ("F" in flags)
            equal((p.flags, p.seq, p.ack), ("RA", 0, (c.iss + span) % MOD), f"answer to {flags}")
        equal(p.win if t.is_mango else 0, 0, "window of the RST")
    for flags in ("R", "RA", "RS"):
        c = t.conn(rport=dead)
        c.irs = 0
        c.tx(flags, seq=0)
        await c.none(0.05)


@case("RFC-9293", "LISTEN: an ACK is reset, RST and FIN are ignored, SYN-FIN is no handshake that counts its FIN",
      families="46")
async def listen_segments(t):
    await t.listen()
    for flags, answer in (("A", "R"), ("FA", "R"), ("SA", "R"), ("PA", "R"), ("R", None), ("RA", None), ("F", None),
                          ("", None)):
        c = t.conn(rport=t.port)
        c.irs, c.rcv_nxt = 0, 777
        c.tx(flags, seq=0)
        if answer is None:
            await c.none(0.05)
        else:
            p = await c.rx("R")
            equal((p.seq, p.flags), (777, "R"), f"answer to {flags}")
    c = t.conn(rport=t.port)
    c.tx("SF", seq=0, options=c.syn_options())
    p = await c.next(0.2)
    expect(p is None or (p.has("SA") and c.rel_ack(p) == 1), "SYN-FIN was answered oddly")


@case("RFC-9293 RFC-5461", "data on a SYN is not lost: taken with the handshake, or asked for again", families="46")
async def data_on_syn(t):
    await t.listen()
    c = t.conn(rport=t.port)
    p = await c.open(data=b"early data", ack=False)
    expect(c.rel_ack(p) in (1, 11), "acknowledges part of it")
    c.tx()
    if c.rel_ack(p) == 1:
        c.tx("PA", b"early data")
    await c.acked(11)
    await t.agent.ok("accept l a")
    await t.delivered(b"early data")


@case("RFC-9293", "data with the final ACK of the handshake is taken", families="46")
async def data_on_ack(t):
    await t.listen()
    c = t.conn(rport=t.port)
    await c.open(ack=False)
    c.tx("PA", b"at once")
    await c.acked()
    await t.agent.ok("accept l a")
    await t.delivered(b"at once")


@case("RFC-9293", "a FIN with the final ACK of the handshake is taken", families="46")
async def fin_on_ack(t):
    await t.listen()
    c = t.conn(rport=t.port)
    await c.open(ack=False)
    c.tx("FA", b"all of it")
    await c.acked()
    await t.agent.ok("accept l a")
    await t.delivered(b"all of it")
    equal(await t.agent.ok("recv a 1"), ["eof"], "end")


@case("RFC-9293", "a wrong final ACK is reset and the right one still accepted", families="46")
async def wrong_final_ack(t):
    await t.listen()
    c = t.conn(rport=t.port)
    await c.open(ack=False)
    for ack in (0, 2, 100, 1 << 30):
        c.tx("A", ack=ack)
        p = await c.rx("R")
        equal(c.rel_seq(p), ack, "number of the RST")
    c.tx()
    await t.agent.ok("accept l a")
    await talk(t, c)


@case("RFC-7323 MUST-1 REC-1", "window scale only if both offer it, at most 14; the SYN's own window is unscaled",
      families="46")
async def window_scale(t):
    await t.listen()
    for i, shift in enumerate((None, 0, 7, 14, 15, 255)):
        c = t.conn(rport=t.port)
        p = await c.open(wscale=shift, win=65535)
        equal(p.wscale is not None, shift is not None, f"scale in the SYN-ACK for an offer of {shift}")
        await t.agent.ok(f"accept l w{i}")
        c.win = 65535 << min(shift or 0, 14)
        c.tx()
        await t.agent.ok(f"setopt w{i} nodelay 1")
        # a window of less than a segment in unscaled terms is large when scaled
        n = 3000
        c.win = max(8000, 1 << min(shift or 0, 14))
        c.tx(win=c.win)
        if c.win >= n:
            await t.agent.ok(f"sendn w{i} {n}")
            await c.data(n)


@case("MUST-1 REC-1", "windows are unsigned: more than 32 KiB are sent into a window of 65535 and of a gigabyte",
      families="46", seconds=2)
async def large_windows(t):
    for i, (shift, win) in enumerate(((None, 65535), (14, 0xffff << 14))):
        c = await t.passive(name=f"w{i}", wscale=shift)
        c.win = win
        c.tx()
        n = 400000
        sending = t.agent.start(f"sendn w{i} {n}")
        flight = most = 0
        total = 0
        held = []
        while total < n:  # acknowledge only when the device waits, so that the flight grows
            p = await c.next(0.05)
            if p is None:
                c.tx()
                flight = 0
                continue
            before = c.rcv_nxt
            c.took(p)
            total += c.rcv_nxt - before
            flight += len(p.data)
            most = max(most, flight)
            held.append(p)
        c.tx()
        await t.agent.done(sending)
        expect(most > 32768, f"never more than {most} bytes in flight into a window of {win}")


@case("RFC-6928 MUST-19", "the first flight is ten segments", families="46")
async def initial_window(t):
    c = await t.passive(rtt=0.03)
    t.agent.start("sendn a 60000")
    first = await c.flight(gap=0.02)
    equal(sum(len(p.data) for p in first), 10 * (1460 if t.family == 4 else 1440), "bytes in the first flight")


@case("RFC-6928", "after a lost SYN-ACK the first flight is one segment, or ten if timestamps tell it was not lost",
      seconds=3)
async def initial_window_after_loss(t):
    await t.listen()
    c = t.conn(rport=t.port)
    await c.open(ack=False)
    await c.rx("SA", within=1.6)
    c.tx()
    await t.agent.ok("accept l a")
    t.agent.start("sendn a 60000")
    n = sum(len(p.data) for p in await c.flight())
    between(1, n, 1460, "bytes in the first flight")


@case("MUST-41 MUST-42", "LISTEN beside connections that use the same local port", families="4")
async def listen_beside(t):
    await t.agent.ok("socket a")
    await t.agent.ok("setopt a reuseaddr 1")
    await t.agent.ok(f"bind a 0.0.0.0 {t.port}")
    c = t.conn()
    connecting = t.agent.start(f"connect a {t.peer_text} {c.lport}")
    await c.rx("S")
    c2 = t.conn(rport=t.port)
    other = await t.another_agent()
    await other.ok("socket l")
    await other.ok("setopt l reuseaddr 1")
    await other.ok(f"bind l 0.0.0.0 {t.port}")
    await other.ok("listen l 4")
    await c2.open()
    await other.ok("accept l x")
    c.tx("SA", options=c.syn_options(), ts=None)
    await t.agent.done(connecting)
    c2.tx("PA", b"hello")
    equal(await other.ok("recv x 5"), [b"hello".hex()], "the new connection's data")


@case("MUST-43 MUST-44 MUST-45", "the local address is what bind says, else what the route says, and it stays")
async def local_address(t):
    for bound, wanted in ((SECOND4, SECOND4), ("0.0.0.0", ADDR4)):
        await t.agent.ok(f"socket s{bound}")
        await t.agent.ok(f"bind s{bound} {bound} 0")
        c = t.conn()
        c.dst = pk.addr(wanted)
        connecting = t.agent.start(f"connect s{bound} {t.peer_text} {c.lport}")
        p = await c.rx("S")
        equal(pk.text(p.src), wanted, "source of the SYN")
        c.tx("SA", options=c.syn_options(), ts=None)
        c.agree(p)
        p = await c.rx("A")
        equal(pk.text(p.src), wanted, "source of the ACK")
        await t.agent.done(connecting)
        equal((await t.agent.ok(f"names s{bound}"))[0], wanted, "getsockname")
    # connections to the other address are answered from it
    await t.listen()
    c = t.conn(rport=t.port)
    c.dst = pk.addr(SECOND4)
    await c.open()
    await t.agent.ok("accept l z")
    equal((await t.agent.ok("names z"))[0], SECOND4, "getsockname of the accepted one")


@case("MUST-46", "connect to broadcast, multicast and nonsense fails at once, nothing is sent")
async def connect_nowhere(t):
    for i, address in enumerate(("255.255.255.255", "224.0.0.1", "10.77.255.255", "240.0.0.1", "0.0.0.0")):
        if address == "0.0.0.0" and not t.is_mango:
            continue  # Linux: this host
        answer = await t.agent.call(f"connect n{i} {address} 80")
        expect(answer.startswith("err") and "TIMEDOUT" not in answer, f"connect to {address} gave {answer!r}")
        t.add_host(pk.addr(address))
    await t.nothing(0.05)


@case("RFC-6056", "local ports are spread over their range and come in no order", families="46", seconds=3)
async def random_ports(t):
    found = []
    for i in range(40):
        c, connecting = await t.connecting(name=f"p{i}")
        p = await c.rx("S")
        found.append(p.sport)
        c.tx("RA", seq=0, ack=1)
        await t.agent.failed(connecting, "ECONNREFUSED")
    expect(min(found) >= 32768 and max(found) <= 60999, f"outside of the range: {min(found)} to {max(found)}")
    expect(max(found) - min(found) > 10000, "near each other")
    steps = [b - a for a, b in zip(found, found[1:])]
    expect(sum(0 < s < 10 for s in steps) < 10, f"in order: {found}")


@case("MUST-47 RFC-5461 MUST-12", "nobody answers ARP: connect fails with EHOSTUNREACH", seconds=4, limit=15,
      families="46")
async def nobody_there(t):
    t.silent = True
    t.add_host(t.peer)
    c, connecting = await t.connecting()
    await t.agent.failed(connecting, "EHOSTUNREACH", 12)
    expect(t.asked >= 2, f"only {t.asked} questions for the address")


@case("RFC-9293", "a backlog that is full does not answer with a handshake it cannot finish; room again, it does", families="4",
      seconds=3)
async def backlog_full(t):
    await t.listen(backlog=2)
    conns = [t.conn(rport=t.port) for _ in range(8)]
    done = 0
    for c in conns:
        c.tx("S", options=c.syn_options(), ts=None)
        p = await c.next(0.15)
        if p is not None and p.has("SA"):
            c.agree(p)
            c.took(p)
            c.tx()
            done += 1
    between(2, done, 8, "handshakes")
    for i in range(2):
        await t.agent.ok(f"accept l a{i}")
    c = t.conn(rport=t.port)
    c.tx("S", options=c.syn_options(), ts=None)
    p = await c.until(lambda p: p.has("SA"), 3, "a SYN-ACK, now that there is room")


@case("MUST-12", "connect tells refusal from silence", families="46")
async def refused(t):
    c, connecting = await t.connecting()
    await c.rx("S")
    c.tx("RA", seq=0, ack=1)
    await t.agent.failed(connecting, "ECONNREFUSED")
