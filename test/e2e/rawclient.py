# SPDX-License-Identifier: Apache-2.0
"""The attach socket by hand: control messages as bytes (proto/ctl/ctl.h) and the shared region (proto/shm/abi.h).

For tests that have to say what libmango never would.
"""
import array
import contextlib
import mmap
import os
import re
import socket
import struct

HDR = struct.Struct("<IHHQ16siIII240sQ")
REPLY = 0x8000
VERSION = 1
MSG_MAX = 65536
(HEALTH_CHECK, SET_CONFIG, GET_CONFIG, TCP_LISTEN, TCP_ACCEPT, TCP_CONNECT, TCP_CLOSE, TCP_LISTEN_CLOSE, TCP_ABORT,
 TCP_SET_OPTION, TCP_GET_OPTION, ATTACH, CONTEXT_OPEN, CONNECTIONS, LISTENERS, STATS, TCP_MOVE, GUARD, GUARDS,
 SESSIONS, NR) = range(21)

KV = struct.Struct("<64s256s256sII")
LISTEN = struct.Struct("<16sHHIIIIIQ24x")
ACCEPT = struct.Struct("<IIII")
MOVE = struct.Struct("<IIII")
GUARD_ITEM = struct.Struct("<IIIiQQ16sHHI32sQ")
CONNECT = struct.Struct("<16s16sHHIQIIIIIi24x")
REF = struct.Struct("<II")
OPT_BYTES = 240
ATTACH_ITEM = struct.Struct("<IIQ16s64s")
ATTACHED = struct.Struct("<16s16sIIQQII")
ABI_MAJOR = 2

# Sections of the region, and where the words of a window lie.
CONTEXTS, EVENTS, DOORBELLS, WINDOWS, PAYLOAD = range(5)
SECTION = struct.Struct("<QQII")
SECTIONS_OFF = 56
WINDOW_BYTES = 384
RX_HEAD, TX_HEAD, A_FLAGS, A_DIRTY, STATE, GEN, WORKER = 64, 72, 80, 84, 128, 136, 140


def v4(address):
    """An IPv4 address as 16 bytes; "" is any."""
    return bytes(10) + b"\xff\xff" + socket.inet_aton(address or "0.0.0.0")


def header(kind, count=0, ident=1, token=b"", nbytes=None, version=VERSION, start=0):
    return HDR.pack(HDR.size if nbytes is None else nbytes, version, kind, ident, token, 0, count, start, 0, b"", 0)


def message(kind, items=(), **words):
    body = b"".join(items)
    return header(kind, len(items), nbytes=HDR.size + len(body), **words) + body


class Reply:
    def __init__(self, data):
        (self.bytes, self.version, self.type, self.id, self.token, self.status, self.count, self.start, self.more,
         text, _) = HDR.unpack_from(data)
        self.text = text.split(b"\0")[0].decode(errors="replace")
        self.items = data[HDR.size:]


class Raw:
    """A connection to the attach socket."""

    def __init__(self, path, timeout=10):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.fds = []
        self.token = b""
        self.region = None

    def send(self, data):
        self.sock.send(data)

    def reply(self):
        """The next reply; None when the daemon hung up."""
        try:
            data, control, _, _ = self.sock.recvmsg(MSG_MAX + 1, 4096)
        except ConnectionError:
            return None
        for level, kind, payload in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload[:len(payload) - len(payload) % fds.itemsize])
                self.fds += list(fds)
        return Reply(data) if data else None

    def ask(self, kind, items=(), **words):
        try:
            self.send(message(kind, items, **words))
        except ConnectionError:
            return None
        return self.reply()

    def hung_up(self, seconds=5):
        """True when the daemon closed the connection within that time; replies on the way are thrown away."""
        self.sock.settimeout(seconds)
        try:
            while self.reply() is not None:
                pass
        except TimeoutError:
            return False
        return True

    def attach(self, abi_hash, parent=b"", program=b"rawclient"):
        reply = self.ask(ATTACH, [ATTACH_ITEM.pack(ABI_MAJOR, 0, abi_hash, parent, program)])
        if reply is not None and reply.status == 0:
            (self.token, self.share, self.context, self.nr_workers, self.region_bytes, _, self.connections_max,
             _) = ATTACHED.unpack_from(reply.items)
        return reply

    def map(self):
        """The region, writable. fds: region, info, the context's wake-ups, doorbells."""
        self.region = mmap.mmap(self.fds[0], self.region_bytes)
        return self.region

    def section(self, i):
        """(offset, stride, count, entries)"""
        return SECTION.unpack_from(self.region, SECTIONS_OFF + i * SECTION.size)

    def window(self, i):
        return self.section(WINDOWS)[0] + i * WINDOW_BYTES

    def open_windows(self):
        """Windows that hold a connection."""
        return [i for i in range(self.section(WINDOWS)[2])
                if struct.unpack_from("<I", self.region, self.window(i) + STATE)[0] == 2]

    def put(self, i, word, value):
        struct.pack_into("<Q" if word in (RX_HEAD, TX_HEAD) else "<I", self.region, self.window(i) + word, value)

    def ring(self, index, gen=None):
        """Pushes a doorbell for a window and wakes its worker."""
        off, stride, _, entries = self.section(DOORBELLS)
        worker = struct.unpack_from("<I", self.region, self.window(index) + WORKER)[0] % self.nr_workers
        ring = off + (self.context * self.nr_workers + worker) * stride
        tail = struct.unpack_from("<I", self.region, ring)[0]
        if gen is None:
            gen = struct.unpack_from("<I", self.region, self.window(index) + GEN)[0]
        struct.pack_into("<II", self.region, ring + 128 + (tail % entries) * 8, index, gen)
        struct.pack_into("<I", self.region, ring, (tail + 1) & 0xffffffff)
        self.wake()

    def wake(self):
        for fd in self.fds[3:]:
            os.write(fd, struct.pack("<Q", 1))

    def close(self):
        # Processes forked since then have the descriptor as well; the connection ends all the same.
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        if self.region is not None:
            self.region.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []


def abi_hash(path):
    """The ABI hash of a daemon, which it tells to a client that has another one."""
    raw = Raw(path)
    reply = raw.attach(0x1234)
    raw.close()
    return int(re.search(r"mangod speaks \d+ \(([0-9a-f]+)\)", reply.text).group(1), 16)
