# SPDX-License-Identifier: Apache-2.0
"""Packets as bytes and back: Ethernet, ARP, IPv4, IPv6, ICMP, ICMPv6, TCP. Shares nothing with what it tests.

parse() judges nothing: what is wrong with a packet is in its `faults`, for the peer to report.
"""
import socket
import struct

ETH_IP, ETH_ARP, ETH_IP6 = 0x0800, 0x0806, 0x86DD
ICMP, TCP, ICMP6, FRAGMENT6 = 1, 6, 58, 44
FLAGS = {"F": 0x001, "S": 0x002, "R": 0x004, "P": 0x008, "A": 0x010, "U": 0x020, "E": 0x040, "C": 0x080, "N": 0x100}
EOL, NOP, MSS, WSCALE, SACK_OK, SACK, TS = 0, 1, 2, 3, 4, 5, 8
UTO, FASTOPEN = 28, 34
MOD = 1 << 32


def addr(text):
    """Address text to its bytes."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def text(address):
    return socket.inet_ntop(socket.AF_INET6 if len(address) == 16 else socket.AF_INET, address)


def checksum(data):
    """The Internet checksum of data (RFC 1071)."""
    if len(data) & 1:
        data += b"\0"
    value = int.from_bytes(data, "big") % 0xffff
    if value == 0 and any(data):
        value = 0xffff
    return 0xffff - value


def pseudo(src, dst, protocol, length):
    if len(src) == 4:
        return src + dst + struct.pack("!BBH", 0, protocol, length)
    return src + dst + struct.pack("!IHBB", length, 0, 0, protocol)


def distance(a, b):
    """a - b of two sequence numbers, as a signed number."""
    return ((a - b + (1 << 31)) % MOD) - (1 << 31)


def flag_bits(letters):
    return sum(FLAGS[x] for x in letters)


def flag_letters(bits):
    return "".join(x for x in "SFRPAUECN" if bits & FLAGS[x])


# ---- TCP options -----------------------------------------------------------------------------------------


def opt(kind, data=b""):
    """One option as bytes."""
    return bytes([kind]) if kind in (EOL, NOP) else bytes([kind, len(data) + 2]) + data


def mss(value):
    return opt(MSS, struct.pack("!H", value))


def wscale(shift):
    return opt(WSCALE, bytes([shift]))


def timestamps(val, ecr):
    return opt(TS, struct.pack("!II", val % MOD, ecr % MOD))


def sack(*blocks):
    """Blocks of absolute sequence numbers."""
    return opt(SACK, b"".join(struct.pack("!II", a % MOD, b % MOD) for a, b in blocks))


def pad(options, fill=b"\1"):
    return options + fill * (-len(options) % 4)


def split_options(data):
    """(kind, data) pairs in order, and what is wrong with them."""
    found, faults, i = [], [], 0
    while i < len(data):
        kind = data[i]
        if kind == EOL:
            if any(data[i:]):
                faults.append("MUST-69: padding after EOL is not zero")
            break
        if kind == NOP:
            i += 1
            continue
        if i + 1 >= len(data) or data[i + 1] < 2 or i + data[i + 1] > len(data):
            faults.append(f"MUST-68: option {kind} has no right length")
            break
        found.append((kind, data[i + 2:i + data[i + 1]]))
        i += data[i + 1]
    return found, faults


# ---- packets ---------------------------------------------------------------------------------------------


class Packet:
    """A packet that was seen. Sequence numbers are absolute."""

    def __init__(self, when):
        self.when = when
        self.faults = []
        self.protocol = self.flags = None
        self.data = b""
        self.options = []
        self.fragment = False

    def option(self, kind):
        return next((d for k, d in self.options if k == kind), None)

    @property
    def mss(self):
        data = self.option(MSS)
        return struct.unpack("!H", data)[0] if data is not None and len(data) == 2 else None

    @property
    def wscale(self):
        data = self.option(WSCALE)
        return data[0] if data else None

    @property
    def ts(self):
        data = self.option(TS)
        return struct.unpack("!II", data) if data is not None and len(data) == 8 else None

    @property
    def sack(self):
        data = self.option(SACK) or b""
        return [struct.unpack_from("!II", data, i) for i in range(0, len(data) - 7, 8)]

    def has(self, letters):
        return all(x in self.flags for x in letters)

    @property
    def span(self):
        """Sequence numbers it takes."""
        return len(self.data) + ("S" in self.flags) + ("F" in self.flags)

    @property
    def ecn(self):
        return self.tos & 3


def parse(frame, when):
    """A Packet of an Ethernet frame; None for what is neither IP nor ARP."""
    p = Packet(when)
    p.dst_mac, p.src_mac, p.ethertype = frame[0:6], frame[6:12], struct.unpack_from("!H", frame, 12)[0]
    body = frame[14:]
    if p.ethertype == ETH_ARP and len(body) >= 28:
        p.arp_op, p.arp_sha, p.src, _, p.dst = struct.unpack_from("!6xH6s4s6s4s", body)
        return p
    if p.ethertype == ETH_IP:
        _parse_ip4(p, body)
    elif p.ethertype == ETH_IP6:
        _parse_ip6(p, body)
    else:
        return None
    if p.protocol == TCP and not p.fragment:
        _parse_tcp(p, p.payload)
    return p


def _parse_ip4(p, body):
    first, p.tos, total, p.ip_id, frag, p.ttl, p.protocol, _, p.src, p.dst = struct.unpack_from("!BBHHHBBH4s4s", body)
    ihl = (first & 15) * 4
    p.ip_options = body[20:ihl]
    p.df, p.offset = bool(frag & 0x4000), (frag & 0x1fff) * 8
    p.fragment = bool(frag & 0x2000) or p.offset > 0
    p.ip_bytes = total
    p.payload = body[ihl:total]
    if checksum(body[:ihl]) != 0:
        p.faults.append("the IPv4 header's checksum is wrong")
    if total > len(body):
        p.faults.append("IPv4: longer than the frame")


def _parse_ip6(p, body):
    word, length, p.protocol, p.ttl, p.src, p.dst = struct.unpack_from("!IHBB16s16s", body)
    p.tos, p.flow = (word >> 20) & 255, word & 0xfffff
    p.df, p.offset, p.ip_id = True, 0, None
    p.ip_bytes = length + 40
    p.payload = body[40:40 + length]
    if p.protocol == FRAGMENT6:
        p.fragment = True
        p.protocol = p.payload[0]
        p.offset = struct.unpack_from("!H", p.payload, 2)[0] & 0xfff8
        p.payload = p.payload[8:]
    if p.protocol == 0:  # hop-by-hop: multicast listener reports have it
        skip = 8 + p.payload[1] * 8
        p.protocol, p.payload = p.payload[0], p.payload[skip:]


def _parse_tcp(p, seg):
    if len(seg) < 20:
        p.faults.append("TCP: shorter than its header")
        p.flags = ""
        p.sport = p.dport = p.seq = p.ack = p.win = p.urg = 0
        return
    p.sport, p.dport, p.seq, p.ack, bits, p.win, _, p.urg = struct.unpack_from("!HHIIHHHH", seg)
    offset = (bits >> 12) * 4
    p.flags = flag_letters(bits & 0x1ff)
    p.raw_options = seg[20:offset]
    p.options, faults = split_options(seg[20:offset])
    p.faults += faults
    p.data = seg[offset:]
    if bits & 0x0e00:
        p.faults.append("reserved bits are not zero")
    if offset < 20 or offset > len(seg):
        p.faults.append("the data offset is wrong")
    if checksum(pseudo(p.src, p.dst, TCP, len(seg)) + seg) != 0:
        p.faults.append("MUST-2: the TCP checksum is wrong")


def tcp(src, dst, sport, dport, seq, ack, flags, win, data=b"", options=b"", urg=0, *, bad_checksum=False, offset=None,
        reserved=0):
    """A TCP segment as bytes; addresses as bytes. bad_checksum: True, or the value itself."""
    options = pad(options)
    bits = ((offset if offset is not None else (20 + len(options)) // 4) << 12) | flag_bits(flags) | reserved << 9
    head = struct.pack("!HHIIHHHH", sport, dport, seq % MOD, ack % MOD, bits, win, 0, urg) + options
    csum = checksum(pseudo(src, dst, TCP, len(head) + len(data)) + head + data)
    if bad_checksum is not False:
        csum = csum ^ 0x0101 if bad_checksum is True else bad_checksum
    return head[:16] + struct.pack("!H", csum) + head[18:] + data


def ip4(src, dst, protocol, payload, *, tos=0, ttl=64, ident=0, df=True, more=False, offset=0, options=b"",
        bad_checksum=False):
    options = pad(options, b"\0")
    head = struct.pack("!BBHHHBBH", 0x40 | (5 + len(options) // 4), tos, 20 + len(options) + len(payload), ident,
                       (0x4000 if df else 0) | (0x2000 if more else 0) | offset // 8, ttl, protocol, 0)
    csum = checksum(head + src + dst + options) ^ (0x0101 if bad_checksum else 0)
    return head[:10] + struct.pack("!H", csum) + src + dst + options + payload


def ip6(src, dst, protocol, payload, *, tos=0, ttl=64, extension=b"", first=None, length=None):
    """extension: the bytes of extension headers, the first one's type is `first`."""
    body = extension + payload
    return struct.pack("!IHBB", 6 << 28 | tos << 20, len(body) if length is None else length,
                       protocol if first is None else first, ttl) + src + dst + body


def ip(src, dst, protocol, payload, *, tos=0, ttl=64, **more):
    make = ip4 if len(src) == 4 else ip6
    return make(src, dst, protocol, payload, tos=tos, ttl=ttl, **more)


def icmp4(kind, code, rest, quoted):
    """rest: the four bytes of the second word."""
    body = struct.pack("!BBH", kind, code, 0) + rest + quoted
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def icmp6(src, dst, kind, code, rest, quoted=b""):
    body = struct.pack("!BBH", kind, code, 0) + rest + quoted
    return body[:2] + struct.pack("!H", checksum(pseudo(src, dst, ICMP6, len(body)) + body)) + body[4:]


def arp(op, sha, spa, tha, tpa):
    return struct.pack("!HHBBH6s4s6s4s", 1, ETH_IP, 6, 4, op, sha, spa, tha, tpa)


def ethernet(dst_mac, src_mac, body, ethertype=None):
    if ethertype is None:
        ethertype = ETH_IP if body[0] >> 4 == 4 else ETH_IP6
    frame = dst_mac + src_mac + struct.pack("!H", ethertype) + body
    return frame + bytes(max(0, 60 - len(frame)))
