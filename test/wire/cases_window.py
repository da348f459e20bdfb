# SPDX-License-Identifier: Apache-2.0
"""Windows: full, closed, shrunk, silly; and Nagle's algorithm."""
import asyncio

from case import case, pattern
from peer import between, equal, expect


@case("MUST-34 SHLD-15 SHLD-16 SHLD-17 MAY-7", "a window that shrinks: nothing new beyond it, sending goes on when it reopens",
      families="46")
async def window_shrinks(t):
    c = await t.passive(win=8000)
    sending = t.agent.start("sendn a 30000")
    first = await c.flight()
    got = sum(len(p.data) for p in first)
    between(4000, got, 8000, "bytes in a window of 8,000")
    c.tx(ack=1, win=2000)
    for p in await c.all(0.7):
        expect(not p.data or c.rel_seq(p) < got + 1, "new data beyond the window")
    c.rcv_nxt = got + 1
    c.win = 60000
    c.tx()
    await c.data(30000 - got)
    await t.agent.done(sending)
    # to nothing at all, with data in flight
    c2 = await t.passive(name="b", win=8000)
    t.agent.start("sendn b 20000")
    got = sum(len(p.data) for p in await c2.flight())
    c2.tx(ack=1, win=0)
    for p in await c2.all(0.7):
        expect(not p.data or c2.rel_seq(p) < got + 1, "new data beyond the window")
    c2.rcv_nxt, c2.win = got + 1, 60000
    c2.tx()
    await c2.data(20000 - got)


def segment(t):
    """Bytes of a full segment without timestamps."""
    return 1460 if t.family == 4 else 1440


async def closed_window(t, name="a", n=5000, **words):
    """A connection with n bytes waiting for a window that is 0; three segments went before."""
    win = 3 * segment(t)
    c = await t.passive(name=name, win=win, wscale=None, **words)
    sending = t.agent.start(f"sendn {name} {win + n}")
    await c.data(win, ack=False)
    c.win = 0
    c.tx()
    await t.agent.done(sending)
    return c


def is_probe(c, p):
    """It asks for an acknowledgement of a peer whose window is closed."""
    return p.flags.strip("P") == "A" and (c.rel_seq(p) == c.rcv_nxt - 1 or p.data and c.rel_seq(p) == c.rcv_nxt)


@case("MUST-35 MUST-36 SHLD-29 SHLD-30", "a closed window is probed after one RTO, then with doubled waits; opened, data flows",
      families="46", seconds=4)
async def zero_window_probes(t):
    c = await closed_window(t)
    first_rcv = c.rcv_nxt
    probes = []
    while len(probes) < 4:
        p = await c.next(3)
        expect(p is not None, "no probe")
        if not is_probe(c, p):
            continue
        probes.append(p)
        c.tx(ack=first_rcv)
    gaps = [(b.when - a.when) / 1e6 for a, b in zip(probes, probes[1:])]
    between(150, gaps[0], 700, "milliseconds between the first two probes")
    for a, b in zip(gaps, gaps[1:]):
        between(1.6, b / a, 2.5, "growth of the waits")
    c.rcv_nxt, c.win = first_rcv, 65535
    c.tx()
    await c.data(5000)


@case("MUST-37 MAY-8", "a window that stays closed ends nothing as long as probes are answered", profile="fast", seconds=9)
async def probes_answered_for_ever(t):
    c = await closed_window(t)
    edge = c.rcv_nxt
    for _ in range(12):
        p = await c.until(lambda p: is_probe(c, p), 3, "a probe")
        c.rcv_nxt = edge
        c.tx()
    c.win = 65535
    c.tx()
    await c.data(5000)


@case("MUST-20 MUST-37", "probes that nobody answers end the connection", profile="fast", seconds=6, limit=30)
async def probes_unanswered(t):
    await closed_window(t)
    reading = t.agent.start("recv a 1")
    await t.agent.failed(reading, "ETIMEDOUT", 25)


@case("MUST-38 RFC-1122", "a window that opens by a little is left alone until a segment fits", families="46", seconds=2)
async def sender_silly_window(t):
    c = await closed_window(t, set_={"nodelay": 1})
    edge = c.rcv_nxt
    for win in (1, 100, 700):
        c.tx(win=win)
        for p in await c.all(0.04):
            expect(p.old or len(p.data) <= 1, f"{len(p.data)} bytes for a window of {win}")
    c.rcv_nxt = edge
    c.tx(win=segment(t))
    p = await c.until(lambda p: p.data, 0.5, "a full segment")
    equal(len(p.data), segment(t), "its length")


@case("MUST-38", "what fits whole goes into any window", families="46")
async def small_data_small_window(t):
    c = await t.passive(win=50, wscale=None)
    await t.agent.ok("sendn a 40")
    await c.rx("A", length=40, within=0.5)
    c.tx(win=50)


async def fill(t, c):
    """Sends until the device's window is closed; returns how many bytes that took."""
    sent = 0
    idle = 0
    p = c.last_window
    while idle < 4:
        room = ((p.win) - (c.snd_nxt - c.rel_ack(p))) if p is not None else 1000
        if room <= 0:
            p2 = await c.next(0.12)
            if p2 is None:
                idle += 1
            elif "A" in p2.flags:
                p = p2
                idle = 0
            if p.win == 0 and c.rel_ack(p) == c.snd_nxt:
                break
            continue
        n = min(room, 1000)
        c.tx("PA", pattern(n, sent))
        sent += n
        while c.rel_ack(p) < c.snd_nxt:
            p2 = await c.next(0.5)
            if p2 is None:
                break
            if "A" in p2.flags:
                p = p2
    c.last_window = p
    return sent


async def full_connection(t, name="a"):
    """A connection whose window is closed because nobody reads; how many bytes wait."""
    if getattr(t, "listening", None) is None:
        await t.listen(options={"rcvbuf": 8192})
    c = t.conn(rport=t.listening)
    c.last_window = await c.open(wscale=None)
    await t.agent.ok(f"accept l {name}")
    n = await fill(t, c)
    equal(c.last_window.win, 0, "the window at the end")
    return c, n


@case("MUST-39 SHLD-14", "the receiver opens a closed window by a segment or half the buffer, not byte by byte", families="46",
      seconds=3)
async def receiver_silly_window(t):
    c, n = await full_connection(t)
    for _ in range(60):
        await t.agent.ok("recv a 1")
    least = min(536, n // 2)
    for p in await c.all(0.1):
        width = p.win
        expect(width == 0 or width >= least, f"a window of {width} bytes after 60 were read one by one")
    await t.agent.ok(f"recv a {n - 60}")
    p = await c.until(lambda p: p.win >= least, 1, "the window opens when all is read")
    c.tx("PA", b"more")
    await c.acked()


@case("MUST-66 RFC-9293", "a closed window: data is refused with an ACK, a probe is answered, an exact RST ends it", families="46",
      seconds=2)
async def reset_at_zero_window(t):
    c, n = await full_connection(t)
    c.tx("A", b"!", seq=c.snd_nxt)
    p = await c.rx("A", ack=c.snd_nxt)
    equal(p.win, 0, "window")
    c.tx("A", seq=c.snd_nxt - 1)  # a probe without data
    await c.rx("A", ack=c.snd_nxt)
    c.tx("R")
    await asyncio.sleep(0.05)
    answer = await t.agent.call(f"recv a {n}")
    if answer.startswith("ok"):
        await t.agent.error("recv a 1", "ECONNRESET")
    else:
        equal(answer, "err ECONNRESET", "recv")


@case("SHLD-14 RFC-7323", "reading opens the window; its right edge never moves left", families="46", seconds=2)
async def window_follows_reader(t):
    c, n = await full_connection(t)
    read = 0
    while read < n:
        take = min(700, n - read)
        equal(await t.agent.ok(f"recv a {take}"), [pattern(take, read).hex()], "data")
        read += take
        for p in await c.all(0.002):
            c.last_window = p
    more = await fill(t, c)
    expect(more > 1000, f"only {more} bytes were taken after all was read")


@case("RFC-9293", "data across the window's right edge is cut there, what is beyond is refused", families="46", seconds=2)
async def beyond_the_window(t):
    await t.listen(options={"rcvbuf": 8192})
    c = t.conn(rport=t.port)
    p = await c.open(wscale=None)
    await t.agent.ok("accept l a")
    edge = 1 + p.win
    c.tx("A", b"outside", seq=edge + 10)
    await c.rx("A", ack=1)
    c.tx("A", b"outside", seq=edge)
    await c.rx("A", ack=1)
    t.allow("acknowledges what")
    c.tx("PA", b"inside")
    await c.acked(7)
    await t.delivered(b"inside")


@case("SHLD-7 RFC-1122", "Nagle is on: a second small write waits for the first one's ACK", families="46")
async def nagle(t):
    c = await t.passive()
    await t.agent.ok("send a 61")
    await c.rx("A", length=1)
    await t.agent.ok("send a 6262")
    await c.none(0.03)
    c.tx()
    p = await c.rx("A", length=2)
    equal(p.data, b"bb", "data")


@case("MUST-17 SHLD-7", "TCP_NODELAY: small writes leave at once", families="46")
async def nodelay(t):
    c = await t.passive(set_={"nodelay": 1})
    for i in range(5):
        await t.agent.ok("send a 61")
        p = await c.rx("A", length=1, within=0.15, skip=lambda p: c.rel_seq(p) < i + 1)
        equal(c.rel_seq(p), i + 1, "sequence number")
    c.tx()
    await t.agent.ok("setopt a nodelay 0")
    await t.agent.ok("send a 61")
    await c.rx("A", length=1)
    await t.agent.ok("send a 61")
    await c.none(0.03)


@case("SHLD-27 SHLD-28", "small writes that wait leave as one segment, large ones as full segments", families="46")
async def writes_collapse(t):
    c = await t.passive()
    await t.agent.ok("send a 61")
    await c.rx("A", length=1)
    for _ in range(10):
        await t.agent.ok("send a 6262")
    c.tx()
    await c.rx("A", length=20)
    c.tx()
    await t.agent.ok("send a 61")
    await c.rx("A", length=1)
    for _ in range(20):
        await t.agent.ok("sendn a 219")
    c.tx()
    p = await c.rx("A")
    equal(len(p.data), segment(t), "length of the first segment")


@case("MUST-60 RFC-9293", "TCP_CORK holds small data back, but not for ever; off, it leaves", families="46")
async def cork(t):
    c = await t.passive(set_={"cork": 1})
    await t.agent.ok("send a 6162")
    await c.none(0.05)
    await t.agent.ok("setopt a cork 0")
    p = await c.rx("A", length=2, within=0.5)
