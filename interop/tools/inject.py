#!/usr/bin/env python3
"""inject.py MODE PCAP INTERFACE SERVER_ADDRESS: sends captured ESP frames again, straight to the server's port.

replay  as they were
forge   sequence number far ahead, so the ICV is wrong: must be dropped before the replay window moves
flip    one bit of ciphertext turned over, sequence number just ahead

Prints how many frames were sent."""

import socket
import struct
import sys

ETHERNET = 14
AT_MOST = 50
IPV4, UDP, ESP = b"\x08\x00", 17, 50
NAT_TRAVERSAL_PORT = struct.pack("!H", 4500)


def frames(path):
    """Whole frames of a capture in the classic format."""
    with open(path, "rb") as capture:
        data = capture.read()
    endian = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at + 16 <= len(data):
        captured, original = struct.unpack_from(endian + "II", data, at + 8)
        if captured == original:
            yield data[at + 16 : at + 16 + captured]
        at += 16 + captured


def esp_offset(frame, server):
    """Where ESP begins in a frame to the server; None if it is none."""
    if frame[12:14] != IPV4 or frame[30:34] != server:
        return None
    payload = ETHERNET + (frame[ETHERNET] & 15) * 4
    if frame[23] == ESP:
        return payload
    is_esp_in_udp = frame[payload + 2 : payload + 4] == NAT_TRAVERSAL_PORT and any(frame[payload + 8 : payload + 12])
    if frame[23] == UDP and is_esp_in_udp and len(frame) > payload + 30:
        return payload + 8
    return None


def spoil(mode, frame, esp, newest, index):
    """The frame as an attacker would send it."""
    frame = bytearray(frame)
    if mode == "forge":
        struct.pack_into("!I", frame, esp + 4, newest + 100_000 + index)
    if mode == "flip":
        struct.pack_into("!I", frame, esp + 4, newest + 1 + index)
        frame[esp + 24] ^= 1
    if mode != "replay" and frame[23] == UDP:
        frame[esp - 2 : esp] = b"\0\0"  # no UDP checksum
    return bytes(frame)


def main():
    mode, path, interface, address = sys.argv[1:5]
    server = socket.inet_aton(address)
    found = [(f, esp_offset(f, server)) for f in frames(path) if len(f) > 34]
    found = [(f, esp) for f, esp in found if esp is not None][-AT_MOST:]
    newest = struct.unpack_from("!I", found[-1][0], found[-1][1] + 4)[0] if found else 0
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind((interface, 0))
    for index, (frame, esp) in enumerate(found):
        wire.send(spoil(mode, frame, esp, newest, index))
    print(len(found))


main()
