#!/usr/bin/env python3
"""dhcpinform.py INTERFACE ADDRESS: asks for configuration as macOS does after it has connected (RFC 2131 section 4.4.3).

Prints what the DHCPACK says, a line each: first (number of its first option), type, from, xid, and `option NUMBER VALUE`
with addresses and routes (RFC 3442) written out. Exit status 1 if no answer comes within three tries."""

import os
import socket
import struct
import sys

SERVER, CLIENT, COOKIE = 67, 68, bytes.fromhex("63825363")
TYPE, END, DNS, DOMAIN, ROUTES, MICROSOFT_ROUTES = 53, 255, 6, 15, 121, 249
INFORM = 8
WANTED = bytes([6, 44, 43, 1, 249, 121, 15])
SO_BINDTODEVICE = 25


def inform(address, xid):
    """Hardware type 8, an address of six bytes that no Ethernet has, a client identifier made of it."""
    hardware = bytes.fromhex("000000010000")
    head = struct.pack("!BBBBIHH", 1, 8, 6, 0, xid, 0, 0) + socket.inet_aton(address) + bytes(12)
    options = bytes([TYPE, 1, INFORM, 61, 7, 8]) + hardware + bytes([55, len(WANTED)]) + WANTED + bytes([END])
    return head + hardware.ljust(16, b"\0") + bytes(192) + COOKIE + options


def options_of(message):
    at = message.index(COOKIE) + 4
    while at < len(message) and message[at] != END:
        if message[at] == 0:
            at += 1
            continue
        length = message[at + 1]
        yield message[at], message[at + 2 : at + 2 + length]
        at += 2 + length


def routes(value):
    at, found = 0, []
    while at < len(value):
        length = value[at]
        used = (length + 7) // 8
        network = value[at + 1 : at + 1 + used].ljust(4, b"\0")
        router = value[at + 1 + used : at + 5 + used]
        found.append(f"{socket.inet_ntoa(network)}/{length}>{socket.inet_ntoa(router)}")
        at += 5 + used
    return " ".join(found)


def written(number, value):
    if number in (ROUTES, MICROSOFT_ROUTES):
        return routes(value)
    if number == DNS:
        return " ".join(socket.inet_ntoa(value[i : i + 4]) for i in range(0, len(value), 4))
    if number == DOMAIN:
        return value.decode()
    return value.hex()


def report(answer, source):
    found = list(options_of(answer))
    print("first", found[0][0])
    print("type", next(value[0] for number, value in found if number == TYPE))
    print("from", *source)
    print("xid", answer[4:8].hex())
    for number, value in found:
        print("option", number, written(number, value))


def main():
    interface, address = sys.argv[1:]
    xid = int.from_bytes(os.urandom(4), "big")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        wire.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, interface.encode())
        wire.bind((address, CLIENT))
        wire.settimeout(3.0)
        for _ in range(3):
            wire.sendto(inform(address, xid), ("255.255.255.255", SERVER))
            try:
                answer, source = wire.recvfrom(2048)
            except TimeoutError:
                continue
            if answer[4:8] == xid.to_bytes(4, "big"):
                report(answer, source)
                return 0
    return 1


sys.exit(main())
