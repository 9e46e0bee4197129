#!/usr/bin/env python3
"""Marked datagrams to a host that returns them, to find out whether two clients' traffic gets mixed up or lost.

twins.py serve ADDRESS PORT FILE       returns every datagram; FILE gets a line `SOURCE MARK COUNT` each second
twins.py send ADDRESS PORT MARK COUNT  sends COUNT datagrams that begin with MARK, at most WINDOW unanswered at a time

`send` prints `sent N answered N strange N` and exits with 1 if not every datagram came back, or one that is not ours did.
A datagram that is not answered within PATIENCE is lost: nothing is sent again."""

import collections
import select
import socket
import struct
import sys
import time

WINDOW, PATIENCE, SIZE = 32, 15.0, 200


def serve(address, port, path):
    seen = collections.Counter()
    written = 0.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        wire.bind((address, port))
        while True:
            if select.select([wire], [], [], 1.0)[0]:
                datagram, source = wire.recvfrom(2048)
                seen[source[0], datagram.split(b"\0", 1)[0].decode()] += 1
                wire.sendto(datagram, source)
            if time.monotonic() - written > 1.0:
                written = time.monotonic()
                with open(path, "w", encoding="utf-8") as report:
                    report.writelines(f"{source} {mark} {count}\n" for (source, mark), count in seen.items())


def send(address, port, mark, count):
    head = mark.encode() + b"\0"
    waiting, answered, strange, following = {}, 0, 0, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.connect((address, port))
        while following < count or waiting:
            now = time.monotonic()
            while following < count and len(waiting) < WINDOW:
                wire.send((head + struct.pack("!I", following)).ljust(SIZE, b"."))
                waiting[following] = now
                following += 1
            if select.select([wire], [], [], 0.2)[0]:
                datagram = wire.recv(2048)
                number = struct.unpack_from("!I", datagram, len(head))[0] if datagram.startswith(head) else None
                if waiting.pop(number, None) is None:
                    strange += 1
                else:
                    answered += 1
            for number in [n for n, since in waiting.items() if now - since > PATIENCE]:
                del waiting[number]
    print("sent", count, "answered", answered, "strange", strange)
    return 0 if answered == count and strange == 0 else 1


if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]), sys.argv[4])
sys.exit(send(sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])))
