# SPDX-License-Identifier: Apache-2.0
"""TCP Fast Open (RFC 7413)."""
import asyncio

import packet as pk
from case import case, pattern
from peer import between, equal, expect

TODO = "Fast Open is on its way"


def cookie_of(p):
    return p.option(pk.FASTOPEN)


async def ask(t, c):
    """A handshake that asks for a cookie; returns it."""
    c.snd_nxt = 0
    p = await c.open(more=pk.opt(pk.FASTOPEN) + b"\1\1", ack=False)
    c.tx()
    return cookie_of(p)


@case("RFC-7413", "a server grants a cookie of 4 to 16 bytes, the same one to the same host", profile="fastopen", families="46",
      todo=TODO)
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


@case("RFC-7413", "data in a SYN with the right cookie is delivered before the handshake ends", profile="fastopen", families="46",
      todo=TODO)
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


@case("RFC-7413", "with a wrong cookie only the SYN is acknowledged, and a right one is sent", profile="fastopen", families="46",
      todo=TODO)
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


@case("RFC-7413", "a client asks for a cookie, then sends data in its SYN", profile="fastopen", families="46", todo=TODO)
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
