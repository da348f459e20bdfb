# SPDX-License-Identifier: Apache-2.0
"""A receiver that the peer plays towards a sending device: what is lost is the case's choice."""
import asyncio

from peer import Failure


class Receiver:
    """Takes data segments of a Conn, acknowledges each with SACK blocks (if agreed), and counts what comes again."""

    def __init__(self, c, sack=None):
        self.c = c
        self.sack = c.sack_on if sack is None else sack
        self.ranges = []  # above rcv_nxt, the most recent first
        self.sent = []  # (seq, length) in the order of arrival, lost ones included
        self.again = []  # seq of those that begin below the highest end seen before
        self.top = c.rcv_nxt

    def note(self, p):
        """Counts a segment, whether it is going to be lost or not."""
        seq = self.c.rel_seq(p)
        self.sent.append((seq, len(p.data)))
        if seq < self.top:
            self.again.append(seq)
        self.top = max(self.top, seq + len(p.data))

    def take(self, p):
        """The segment arrived."""
        a = self.c.rel_seq(p)
        b = a + p.span
        if b <= self.c.rcv_nxt:
            return
        touching = [r for r in self.ranges if r[0] <= b and r[1] >= a]
        merged = (min([a] + [r[0] for r in touching]), max([b] + [r[1] for r in touching]))
        self.ranges = [r for r in self.ranges if r not in touching]
        if merged[0] <= self.c.rcv_nxt:
            self.c.rcv_nxt = merged[1]
        else:
            self.ranges.insert(0, merged)

    def ack(self, **words):
        blocks = self.ranges[:3 if self.c.ts_on else 4] if self.sack else []
        self.c.tx(options=self.c.sack_option(*blocks) if blocks else b"", **words)

    async def segment(self, within=1.0):
        """The next data segment, counted; None after that time."""
        while True:
            p = await self.c.next(within)
            if p is None or p.data:
                if p is not None:
                    self.note(p)
                return p

    async def run(self, n, lose=lambda seq, copy: False, within=3.0, pause=0):
        """Receives n more bytes; lose(seq, which copy of it: 0 is the first) true: it is lost. Each gets its ACK."""
        end = self.c.rcv_nxt + n
        copies = {}
        while self.c.rcv_nxt < end:
            p = await self.segment(within)
            if p is None:
                raise Failure(f"{end - self.c.rcv_nxt} bytes are missing, and nothing comes within {within} s")
            seq = self.c.rel_seq(p)
            copies[seq] = copies.get(seq, -1) + 1
            if lose(seq, copies[seq]):
                continue
            self.take(p)
            if pause:
                await asyncio.sleep(pause)
            self.ack()
