#!/usr/bin/env python3
"""whoami.py serve: answers every TCP connection to port 7777 with the address it comes from.
whoami.py ask ADDRESS: prints the answer."""

import socket
import sys

PORT = 7777


def serve():
    listener = socket.create_server(("", PORT))
    while True:
        connection, peer = listener.accept()
        connection.sendall(peer[0].encode())
        connection.close()


def ask(address):
    with socket.create_connection((address, PORT), timeout=5) as connection:
        print(connection.recv(100).decode())


if sys.argv[1] == "serve":
    serve()
else:
    ask(sys.argv[2])
