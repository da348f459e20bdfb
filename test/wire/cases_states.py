# SPDX-License-Identifier: Apache-2.0
"""The product of RFC 9293 3.10.7.4 with RFC 5961: in each synchronised state each kind of segment, with its number left of the
window, at its left edge, inside, at its right edge and right of it, acknowledging the past, the present and the future.

What may come back: "ack" an ACK that takes nothing, "none" silence, "end" the connection is gone, "take" the segment counts.
"""
from case import case
from peer import Failure

KINDS = {"SYN": ("S", b""), "SYN-ACK": ("SA", b""), "ACK": ("A", b""), "RST": ("R", b""), "RST-ACK": ("RA", b""),
         "FIN-ACK": ("FA", b""), "data": ("PA", b"0123456789"), "nothing": ("", b"0123456789")}
PLACES = ("left", "left edge", "inside", "right edge", "right")
ACKS = ("old", "valid", "future")
SHUT = ("CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT")  # the peer's FIN has come


def wanted(state, kind, place, ack):
    """The outcomes that the RFCs allow, as a set."""
    if "RST" in kind:
        if state == "TIME-WAIT":
            return {"none"}
        return {"left": {"none"}, "left edge": {"end"}, "inside": {"ack"}, "right edge": {"none", "ack"},
                "right": {"none"}}[place]
    if "SYN" in kind:  # RFC 5961 4.2; in TIME-WAIT a SYN is another story
        return {"ack"}
    if kind == "nothing":
        return {"none", "ack"}
    if place in ("left", "right"):
        return {"ack"}
    if place == "right edge":
        return {"ack", "none"}
    if ack == "future":
        return {"ack", "none"} if state == "TIME-WAIT" else {"ack"}
    if ack == "old":  # nothing was ever sent there: RFC 5961 5.2 with MAX.SND.WND limited to what was sent answers
        return {"none", "ack"} if kind == "ACK" or state in SHUT or place == "inside" else {"take", "none", "ack"}
    if kind == "ACK":
        return {"none"} if place == "left edge" or state not in SHUT else {"none", "ack"}
    if state in SHUT:  # nothing can come after a FIN
        return {"none", "ack"}
    if place == "inside":
        return {"ack"}
    return {"take"}


async def reach(t, state, name):
    """A connection in this state, with c.edge the right edge of its window."""
    c = await t.passive(name=name, wscale=None)
    if state in ("CLOSE-WAIT", "LAST-ACK"):
        c.tx("FA")
        await c.acked()
    if state not in ("ESTABLISHED", "CLOSE-WAIT"):
        await t.agent.ok(f"shutdown {name} wr")
        await c.rx("FA", seq=1)
    if state in ("FIN-WAIT-2", "TIME-WAIT"):
        c.tx()
    if state in ("CLOSING", "TIME-WAIT"):
        c.tx("FA", ack=1 if state == "CLOSING" else 2)
        await c.acked()
    c.una = 2 if state in ("FIN-WAIT-2", "TIME-WAIT") else 1
    c.edge = c.snd_nxt + 65535  # no device here offers more without scaling, nor much less
    return c


def is_fin_again(p):
    return "F" in p.flags and "R" not in p.flags


async def outcome(c, kind, place, ack):
    """Sends the segment and says what happened; afterwards a probe tells whether the connection lives."""
    flags, data = KINDS[kind]
    before = c.snd_nxt
    seq = {"left": before - 100, "left edge": before, "inside": before + 100, "right edge": c.edge,
           "right": c.edge + 100000}[place]
    c.snd_una = before
    c.tx(flags, data, seq=seq, ack={"old": c.una - 1, "valid": c.una, "future": c.una + 5000}[ack])
    c.sent_end = None
    p = await next_of(c, 0.04)
    if p is not None and "A" in p.flags and c.rel_ack(p) > before:
        return "take"
    c.tx("A", seq=before - 1, ack=c.una)  # a keepalive probe
    q = await next_of(c, 0.5)
    if q is None or "R" in q.flags:
        return "end"
    if c.rel_ack(q) > before:
        return "take"
    return "none" if p is None else "ack" if p.flags.strip("P") == "A" else p.flags


async def next_of(c, within):
    while True:
        p = await c.next(within)
        if p is None or not is_fin_again(p):
            return p


async def product(t, state):
    t.allow("acknowledges what", "SHLD-14")
    await t.listen()
    wrong, c, used, n = [], None, 99, 0
    for kind in KINDS:
        for place in PLACES:
            for ack in ACKS:
                if state == "TIME-WAIT" and kind == "SYN" or "A" not in KINDS[kind][0] and ack != "valid":
                    continue
                if used >= 5:  # challenge ACKs are rationed
                    n += 1
                    c = await reach(t, state, f"s{n}")
                    used = 0
                found = await outcome(c, kind, place, ack)
                used = 99 if found in ("end", "take") or found not in ("ack", "none") else used + 1
                allowed = wanted(state, kind, place, ack)
                if found not in allowed:
                    wrong.append(f"{kind}, {place}, ACK {ack}: {found}, wanted {' or '.join(sorted(allowed))}")
    if wrong:
        raise Failure("; ".join(wrong))


@case("RFC-9293 RFC-5961 RFC-1122", "every segment in ESTABLISHED", seconds=8, families="46")
async def product_established(t):
    await product(t, "ESTABLISHED")


@case("RFC-9293 RFC-5961 RFC-1122", "every segment in FIN-WAIT-1", seconds=8)
async def product_fin_wait_1(t):
    await product(t, "FIN-WAIT-1")


@case("RFC-9293 RFC-5961 RFC-1122", "every segment in FIN-WAIT-2", seconds=8)
async def product_fin_wait_2(t):
    await product(t, "FIN-WAIT-2")


@case("RFC-9293 RFC-5961 RFC-1122", "every segment in CLOSE-WAIT", seconds=8)
async def product_close_wait(t):
    await product(t, "CLOSE-WAIT")


@case("RFC-9293 RFC-5961 RFC-1122", "every segment in CLOSING", seconds=8)
async def product_closing(t):
    await product(t, "CLOSING")


@case("RFC-9293 RFC-5961 RFC-1122", "every segment in LAST-ACK", seconds=8)
async def product_last_ack(t):
    await product(t, "LAST-ACK")


@case("RFC-9293 RFC-5961 RFC-1122 RFC-1337", "every segment in TIME-WAIT", seconds=8)
async def product_time_wait(t):
    await product(t, "TIME-WAIT")
