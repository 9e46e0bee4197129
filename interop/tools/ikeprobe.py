#!/usr/bin/env python3
"""ikeprobe.py SERVER PROPOSAL...: asks an IKEv2 server about one proposal at a time (RFC 7296 section 1.2).

PROPOSAL in strongSwan's words: aes256-sha256-modp2048, aes256gcm16-prfsha384-ecp384.
SOURCES (environment): source addresses to take in turn, so that limits on half-open exchanges do not matter.
Prints PROPOSAL, VERDICT and detail, separated by tabs; VERDICT is accepted, refused, other-group N, cookie, silent,
or error N. A COOKIE challenge is answered."""

import os
import socket
import struct
import subprocess
import sys

SA, KE, NONCE, NOTIFY = 33, 34, 40, 41
NO_PROPOSAL_CHOSEN, INVALID_KE_PAYLOAD, COOKIE, FIRST_STATUS = 14, 17, 16390, 16384
IKE_SA_INIT, VERSION_2, INITIATOR = 34, 0x20, 8
KEY_LENGTH = 0x800E

ENCRYPTION = {"3des": (3, 0), "chacha20poly1305": (28, 0)}
for bits in (128, 192, 256):
    ENCRYPTION[f"aes{bits}"] = (12, bits)
    ENCRYPTION[f"aes{bits}ctr"] = (13, bits)
    ENCRYPTION[f"camellia{bits}"] = (23, bits)
    for number, icv in ((18, 8), (19, 12), (20, 16)):
        ENCRYPTION[f"aes{bits}gcm{icv}"] = (number, bits)
PRF = {"md5": 1, "sha1": 2, "aesxcbc": 4, "sha256": 5, "sha384": 6, "sha512": 7}
INTEGRITY = {"md5": 1, "sha1": 2, "aesxcbc": 5, "sha256": 12, "sha384": 13, "sha512": 14}
MODP = {
    "modp768": (1, 768),
    "modp1024": (2, 1024),
    "modp1536": (5, 1536),
    "modp2048": (14, 2048),
    "modp3072": (15, 3072),
    "modp4096": (16, 4096),
    "modp6144": (17, 6144),
    "modp8192": (18, 8192),
}
ECP = {"ecp256": (19, "prime256v1", 64), "ecp384": (20, "secp384r1", 96), "ecp521": (21, "secp521r1", 132)}
MONTGOMERY = {"x25519": (31, "X25519", 32), "curve25519": (31, "X25519", 32), "x448": (32, "X448", 56)}


def openssl(*args, stdin=None):
    return subprocess.run(("openssl",) + args, input=stdin, capture_output=True, check=True).stdout


def public_value(group):
    """Number of the group and a valid public value."""
    if group in MODP:
        number, size = MODP[group]
        return number, b"\0" + os.urandom(size // 8 - 1)
    if group in ECP:
        number, curve, size = ECP[group]
        private = openssl("ecparam", "-name", curve, "-genkey", "-noout")
        return number, openssl("ec", "-pubout", "-outform", "DER", stdin=private)[-size:]
    number, name, size = MONTGOMERY[group]
    private = openssl("genpkey", "-algorithm", name)
    return number, openssl("pkey", "-pubout", "-outform", "DER", stdin=private)[-size:]


def transform(last, kind, ident, key_bits=0):
    attribute = struct.pack("!HH", KEY_LENGTH, key_bits) if key_bits else b""
    return struct.pack("!BBHBBH", 0 if last else 3, 0, 8 + len(attribute), kind, 0, ident) + attribute


def payload(following, body):
    return struct.pack("!BBH", following, 0, 4 + len(body)) + body


def request(words):
    """The SA, KE and nonce payloads for one proposal."""
    encryption, *middle, group = words
    integrity = [w for w in middle if not w.startswith("prf")]
    prf = [w.removeprefix("prf") for w in middle if w.startswith("prf")] or integrity
    number, public = public_value(group)
    transforms = [(1, *ENCRYPTION[encryption])]
    transforms += [(2, PRF[name]) for name in prf] + [(3, INTEGRITY[name]) for name in integrity]
    transforms += [(4, number)]
    body = b"".join(transform(i == len(transforms) - 1, *t) for i, t in enumerate(transforms))
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(body), 1, 1, 0, len(transforms)) + body
    return payload(KE, proposal) + payload(NONCE, struct.pack("!HH", number, 0) + public) + payload(0, os.urandom(32))


def message(payloads, spi, cookie):
    first = SA
    if cookie:
        payloads = payload(SA, struct.pack("!BBH", 0, 0, COOKIE) + cookie) + payloads
        first = NOTIFY
    header = struct.pack("!BBBBII", first, VERSION_2, IKE_SA_INIT, INITIATOR, 0, 28 + len(payloads))
    return spi + bytes(8) + header + payloads


def walk(data):
    """Type and body of each payload."""
    kind, at = data[16], 28
    while kind and at + 4 <= len(data):
        following, _, length = struct.unpack_from("!BBH", data, at)
        yield kind, data[at + 4 : at + length]
        kind, at = following, at + max(length, 4)


def verdict(data, spi):
    """What an answer says, and a detail."""
    if len(data) < 28 or data[:8] != spi:
        return "error", "not an answer to this request"
    payloads = list(walk(data))
    has_sa = any(kind == SA for kind, _ in payloads)
    for kind, body in payloads:
        if kind != NOTIFY:
            continue
        note, content = struct.unpack_from("!H", body, 2)[0], body[4 + body[1] :]
        if note == NO_PROPOSAL_CHOSEN:
            return "refused", "NO_PROPOSAL_CHOSEN"
        if note == INVALID_KE_PAYLOAD:
            return f"other-group {struct.unpack('!H', content[:2])[0]}", "INVALID_KE_PAYLOAD"
        if note == COOKIE and not has_sa:
            return "cookie", content
        if note < FIRST_STATUS:
            return f"error {note}", ""
    return ("accepted", f"{len(data)} bytes") if has_sa else ("error", "neither SA nor error")


def probe(server, source, words):
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    payloads, spi = request(words), os.urandom(8)
    result, cookie = ("silent", ""), None
    with socket.socket(family, socket.SOCK_DGRAM) as wire:
        wire.settimeout(1.5)
        if source:
            wire.bind((source, 0))
        for _ in range(4):
            wire.sendto(message(payloads, spi, cookie), (server, 500))
            try:
                result = verdict(wire.recv(65535), spi)
            except TimeoutError:
                continue
            if result[0] != "cookie" or cookie:
                break
            cookie = result[1]
    if cookie:
        return result[0], "after COOKIE" + (f" {result[1]}" if result[0] != "cookie" else "")
    return result


def main():
    server, sources = sys.argv[1], os.environ.get("SOURCES", "").split()
    for index, proposal in enumerate(sys.argv[2:]):
        source = sources[index % len(sources)] if sources else None
        print(proposal, *probe(server, source, proposal.split("-")), sep="\t", flush=True)


main()
