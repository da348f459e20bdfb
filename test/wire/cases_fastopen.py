# SPDX-License-Identifier: Apache-2.0
"""TCP Fast Open (RFC 7413)."""
import asyncio

import packet as pk
from case import case
from peer import equal, expect


def cookie_of(p):
    return p.option(pk.FASTOPEN)


async def ask(t, c):
    """A handshake that asks for a cookie; returns it."""
    c.snd_nxt = 0
    p = await c.open(more=pk.opt(pk.FASTOPEN) + b"\1\1", ack=False)
    c.tx()
    return cookie_of(p)


@case("RFC-7413", "a server grants a cookie of 4 to 16 bytes, the same one to the same host", profile="fastopen", families="46")
async def tfo_cookie(t):
    await t.listen(options={"fastopen": 16})
    cookies = []
    for i in range(2):
        c = t.conn(rport=t.port)
        cookies.append(await ask(t, c))
        await t.agent.ok(f"accept l c{i}")
    expect(cookies[0] is not None and 4 <= len(cookies[0]) <= 16 and len(cookies[0]) % 2 == 0, f"cookie {cookies[0]}")
    equal(cookies[1], cookies[0], "the second cookie")
    c = t.conn(rport=t.port, host=t.another_host(1))
    expect(await ask(t, c) != cookies[0], "another host got the same cookie")


@case("RFC-7413", "data in a SYN with the right cookie is delivered before the handshake ends", profile="fastopen", families="46")
async def tfo_data(t):
    await t.listen(options={"fastopen": 16})
    c = t.conn(rport=t.port)
    cookie = await ask(t, c)
    await t.agent.ok("accept l a")
    c = t.conn(rport=t.port)
    p = await c.open(more=pk.opt(pk.FASTOPEN, cookie) + b"\1\1", data=b"request", ack=False, acked=8)
    c.snd_nxt = 8
    await t.agent.ok("accept l b")
    await t.delivered(b"request", "b")
    await t.agent.ok(f"send b {b'answer'.hex()}")
    p = await c.until(lambda p: p.data, what="the answer before the final ACK")
    equal(p.data, b"answer", "the answer")
    c.tx()


@case("RFC-7413", "with a wrong cookie only the SYN is acknowledged, and a right one is sent", profile="fastopen", families="46")
async def tfo_wrong_cookie(t):
    await t.listen(options={"fastopen": 16})
    for i, cookie in enumerate((b"12345678", b"abcd", b"x" * 16)):
        c = t.conn(rport=t.port)
        p = await c.open(more=pk.opt(pk.FASTOPEN, cookie) + b"\1\1", data=b"request", ack=False)
        equal(c.rel_ack(p), 1, "acknowledged by the SYN-ACK")
        expect(cookie_of(p), "no cookie in the SYN-ACK")
        c.tx("PA", b"request")
        await c.acked(8)
        await t.agent.ok(f"accept l w{i}")
        await t.delivered(b"request", f"w{i}")


async def early(t, name="b", queue=16):
    """A connection whose request came with the SYN and whose handshake has not ended; returns it and the SYN-ACK."""
    await t.listen(options={"fastopen": queue})
    c = t.conn(rport=t.port)
    cookie = await ask(t, c)
    await t.agent.ok("accept l a")
    c = t.conn(rport=t.port)
    p = await c.open(more=pk.opt(pk.FASTOPEN, cookie) + b"\1\1", data=b"request", ack=False, acked=8)
    await t.agent.ok(f"accept l {name}")
    return c, p, cookie


@case("RFC-7413", "a SYN with data that comes again is answered as before, and delivered once", profile="fastopen", families="46")
async def tfo_syn_again(t):
    c, p, cookie = await early(t)
    c.tx("S", b"request", seq=0, options=c.syn_options(more=pk.opt(pk.FASTOPEN, cookie) + b"\1\1"), ts=None)
    q = await c.rx("SA", ack=8, dups=True)
    equal(q.seq, p.seq, "the same sequence number")
    c.tx("S", seq=0, options=c.syn_options(), ts=None)
    await c.rx("SA", ack=8, dups=True)
    c.snd_nxt = 8
    c.tx()
    await t.delivered(b"request", "b")
    c.tx("PA", b"more")
    await c.acked(12)
    await t.delivered(b"more", "b")


@case("RFC-7413", "the SYN-ACK is sent again until it is acknowledged", profile="fastopen", families="46")
async def tfo_synack_again(t):
    c, p, _ = await early(t)
    await t.delivered(b"request", "b")
    q = await c.rx("SA", ack=8, dups=True, within=3)
    equal(q.seq, p.seq, "the same sequence number")
    c.snd_nxt = 8
    c.tx()
    await t.agent.ok(f"send b {b'answer'.hex()}")
    equal((await c.until(lambda p: p.data, what="the answer")).data, b"answer", "the answer")
    c.tx()


@case("RFC-7413", "a reset before the handshake's end reaches the application", profile="fastopen", families="46")
async def tfo_reset(t):
    c, _, _ = await early(t)
    await t.delivered(b"request", "b")
    c.snd_nxt = 8
    c.tx("R")
    await t.agent.error("recv b 10", "ECONNRESET")


@case("RFC-7413", "beyond the listener's limit a SYN is one without the option", profile="fastopen", families="46")
async def tfo_queue_full(t):
    _, _, cookie = await early(t, queue=1)
    c = t.conn(rport=t.port)
    p = await c.open(more=pk.opt(pk.FASTOPEN, cookie) + b"\1\1", data=b"request", ack=False)
    equal(c.rel_ack(p), 1, "acknowledged by the SYN-ACK")
    equal(cookie_of(p), None, "cookie")
    c.tx("PA", b"request")
    await t.agent.ok("accept l c")
    await t.delivered(b"request", "c")


@case("RFC-7413", "a cookie of an odd or impossible length is as no option", profile="fastopen", families="46")
async def tfo_odd_length(t):
    await t.listen(options={"fastopen": 16})
    for i, bad in enumerate((b"12345", b"ab", b"x" * 18)):
        c = t.conn(rport=t.port)
        option = pk.opt(pk.FASTOPEN, bad)
        p = await c.open(ts=False, more=option + b"\1" * (-len(option) % 4), data=b"request", ack=False)
        equal(c.rel_ack(p), 1, "acknowledged by the SYN-ACK")
        equal(cookie_of(p), None, "cookie")
        c.tx("PA", b"request")
        await c.acked(8)
        await t.agent.ok(f"accept l w{i}")
        await t.delivered(b"request", f"w{i}")


@case("RFC-7413", "a right cookie without data begins the connection, too", profile="fastopen", families="46")
async def tfo_no_data(t):
    await t.listen(options={"fastopen": 16})
    c = t.conn(rport=t.port)
    cookie = await ask(t, c)
    await t.agent.ok("accept l a")
    c = t.conn(rport=t.port)
    await c.open(more=pk.opt(pk.FASTOPEN, cookie) + b"\1\1", ack=False)
    await t.agent.ok("accept l b")
    await t.agent.ok(f"send b {b'greeting'.hex()}")
    equal((await c.until(lambda p: p.data, what="the greeting")).data, b"greeting", "the greeting")
    c.tx("PA", b"x")
    await t.delivered(b"x", "b")


@case("RFC-7413", "a client asks for a cookie, then sends data in its SYN", profile="fastopen", families="46")
async def tfo_client(t):
    c, connecting = await t.connecting(name="a", options={"fastopen_connect": 1})
    if not t.is_mango:
        await asyncio.sleep(0.02)
        t.agent.start(f"send a {b'first'.hex()}")
    p = await c.rx("S")
    equal(cookie_of(p), b"", "the request for a cookie")
    c.tx("SA", options=c.syn_options(more=pk.opt(pk.FASTOPEN, b"cookie12") + b"\1\1"), ts=None)
    c.agree(p)
    await c.rx("A")
    await t.agent.done(connecting)
    await t.agent.ok("socket b")
    await t.agent.ok("setopt b fastopen_connect 1")
    lport = c.lport + 1
    c = t.conn(lport=lport)
    t.agent.start(f"connect b {t.peer_text} {lport}")
    t.agent.start(f"send b {b'early'.hex()}")
    p = await c.rx("S")
    equal((cookie_of(p), p.data), (b"cookie12", b"early"), "cookie and data of the SYN")
    c.irs = p.seq
    c.rcv_nxt = 6
    c.tx("SA", options=c.syn_options(), ts=None)
    c.agree(p)
    await c.rx("A")


async def learned(t):
    """A first connection that brings a cookie; returns a function that begins one with data in the SYN."""
    c, connecting = await t.connecting(name="a", options={"fastopen_connect": 1})
    if not t.is_mango:
        await asyncio.sleep(0.02)
        t.agent.start(f"send a {b'first'.hex()}")
    p = await c.rx("S")
    c.tx("SA", options=c.syn_options(more=pk.opt(pk.FASTOPEN, b"cookie12") + b"\1\1"), ts=None)
    c.agree(p)
    await c.rx("A")
    await t.agent.done(connecting)
    lport = c.lport

    async def begin(name, data):
        nonlocal lport
        lport += 1
        await t.agent.ok(f"socket {name}")
        await t.agent.ok(f"setopt {name} fastopen_connect 1")
        c = t.conn(lport=lport)
        t.agent.start(f"connect {name} {t.peer_text} {lport}")
        t.agent.start(f"send {name} {data.hex()}")
        p = await c.rx("S")
        c.irs = p.seq
        return c, p
    return begin


@case("RFC-7413", "data that the SYN-ACK leaves out is sent again at once", profile="fastopen", families="46")
async def tfo_client_refused(t):
    begin = await learned(t)
    c, p = await begin("b", b"early")
    equal((cookie_of(p), p.data), (b"cookie12", b"early"), "cookie and data of the SYN")
    c.rcv_nxt = 1
    c.tx("SA", options=c.syn_options(more=pk.opt(pk.FASTOPEN, b"cookie34") + b"\1\1"), ts=None)
    c.agree(p)
    q = await c.until(lambda p: p.data, what="the data again")
    equal(q.data, b"early", "the data")
    c.tx()
    c, p = await begin("d", b"later")
    equal((cookie_of(p), p.data), (b"cookie34", b"later"), "the newer cookie, and data")
    c.rcv_nxt = 6
    c.tx("SA", options=c.syn_options(), ts=None)
    c.agree(p)
    await c.rx("A")


@case("RFC-7413", "a SYN that is sent again has neither cookie nor data", profile="fastopen", families="46")
async def tfo_client_syn_again(t):
    begin = await learned(t)
    c, p = await begin("b", b"early")
    equal(p.data, b"early", "data of the SYN")
    q = await c.until(lambda p: "S" in p.flags, within=4, what="the SYN again")
    equal((q.seq, q.data, cookie_of(q)), (p.seq, b"", None), "number, data and cookie of the second SYN")
    c.rcv_nxt = 1
    c.tx("SA", options=c.syn_options(), ts=None)
    c.agree(p)
    equal((await c.until(lambda p: p.data, what="the data")).data, b"early", "the data")
    c.tx()


@case("RFC-7413", "an acknowledgement of a part of the SYN's data is taken", profile="fastopen", families="46")
async def tfo_client_partial(t):
    begin = await learned(t)
    c, p = await begin("b", b"early data")
    c.rcv_nxt = 6
    c.tx("SA", options=c.syn_options(), ts=None)
    c.agree(p)
    q = await c.until(lambda p: p.data, what="the rest")
    equal(q.data, b" data", "the rest")
    c.tx()


@case("RFC-7413", "without the option, or with Fast Open off, nothing is offered", families="46")
async def tfo_off(t):
    await t.listen()
    c = t.conn(rport=t.port)
    p = await c.open(more=pk.opt(pk.FASTOPEN) + b"\1\1", ack=False)
    equal(cookie_of(p), None, "cookie of a listener without Fast Open")
    c.tx()
    await t.agent.ok("accept l a")
    c, connecting = await t.connecting(name="b")
    p = await c.rx("S")
    equal(cookie_of(p), None, "cookie in a SYN")
    c.tx("RA", seq=0, ack=1)
