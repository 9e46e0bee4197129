#!/usr/bin/env python3
"""Judges what crossed the WAN, from OUT/wan.csv (fields by tshark) and OUT/wan.pcap.

Prints lines `ok TEXT`, `FAIL TEXT`, `info TEXT`; exit status 1 if one failed."""

import argparse
import collections
import csv
import ipaddress
import os
import sys

IKE_PORTS = {"500", "4500"}
ICMP_ERRORS = {"3", "11"}
ICMPV6_ERRORS_AND_DISCOVERY = {"1", "2", "3", "133", "134", "135", "136", "137", "143"}
ARP = "0x0806"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--form", choices=["esp", "udp", "any"], required=True, help="how ESP must travel")
    parser.add_argument("--least", type=int, required=True, help="ESP packets, both directions together")
    parser.add_argument("--mark", type=bytes.fromhex, required=True, help="ping payload, hexadecimal")
    parser.add_argument("--inner", required=True, help="networks inside the tunnel, comma-separated")
    parser.add_argument("--beyond", help="a host on the internet side that the gateway may talk to in clear")
    parser.add_argument("--restarted", action="store_true", help="the server was started again: SPIs may repeat")
    parser.add_argument("--no-lan", action="store_true", help="the mark need not have reached the LAN")
    return parser.parse_args()


class Wire:
    """What was seen, by kind."""

    def __init__(self, inner, beyond):
        self.inner = [ipaddress.ip_network(n, strict=False) for n in inner.split(",") if n]
        self.beyond = beyond
        self.ways = collections.Counter()
        self.forms = collections.Counter()
        self.spis = collections.defaultdict(list)
        self.leaks = collections.Counter()
        self.others = collections.Counter()
        self.fragments = 0

    def is_inner(self, address):
        address = ipaddress.ip_address(address)
        return any(address in n for n in self.inner if n.version == address.version)

    def add(self, row):
        src = row["ip.src"] or row["ipv6.src"]
        dst = row["ip.dst"] or row["ipv6.dst"]
        proto = row["ip.proto"] or row["ipv6.nxt"]
        ports = {row["udp.srcport"], row["udp.dstport"]}
        if not src:
            if row["eth.type"] not in (ARP, ""):
                self.others["ethertype " + row["eth.type"]] += 1
        elif row["ip.frag_offset"] not in ("", "0") or proto == "44":
            self.fragments += 1
        elif row["icmp.type"] in ICMP_ERRORS or row["icmpv6.type"] in ICMPV6_ERRORS_AND_DISCOVERY:
            pass  # an error may quote an ESP packet
        elif row["esp.spi"]:
            self.forms["esp" if proto == "50" else "udp"] += 1
            self.ways[(src, dst)] += 1
            self.spis[row["esp.spi"]].append(int(row["esp.sequence"]))
        elif proto == "17" and ports & IKE_PORTS:
            pass
        elif self.is_inner(src) or self.is_inner(dst) or (proto == "17" and "1701" in ports):
            self.leaks[f"{src}>{dst} proto {proto}"] += 1
        elif self.beyond in (src, dst) or proto in ("0", "2") or dst.startswith("ff"):
            pass  # what the gateway translated for its clients; multicast chatter
        else:
            self.others[f"{src}>{dst} proto {proto} {row['udp.srcport']}>{row['udp.dstport']}"] += 1


class Report:
    failed = False

    def verdict(self, good, text):
        self.failed |= not good
        print("ok" if good else "FAIL", text)


def some(counter):
    return "".join(f"; {name} x{count}" for name, count in list(counter.items())[:6])


def marks(path, mark):
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as capture:
        return capture.read().count(mark)


def judge(args, wire):
    report = Report()
    total = sum(wire.forms.values())
    report.verdict(total >= args.least, f"{total} ESP packets {dict(wire.forms)}, wanted at least {args.least}")
    both = bool(wire.ways) and all((dst, src) in wire.ways for src, dst in wire.ways)
    report.verdict(both, "ESP in both directions: " + ", ".join(f"{a}>{b} {n}" for (a, b), n in wire.ways.items()))
    if args.form != "any":
        report.verdict(set(wire.forms) == {args.form}, f"encapsulation is {args.form} only")
    report.verdict(not wire.leaks, "no inner address outside ESP" + some(wire.leaks))
    report.verdict(not wire.others, "nothing but ESP, IKE, ARP, neighbour discovery, ICMP errors" + some(wire.others))
    if not args.restarted:
        twice = sum(len(numbers) - len(set(numbers)) for numbers in wire.spis.values())
        report.verdict(twice == 0, f"no ESP sequence number used twice ({len(wire.spis)} SPIs)")
        report.verdict(all(min(numbers) == 1 for numbers in wire.spis.values()), "every SPI starts at sequence 1")
    if wire.fragments:
        print(f"info {wire.fragments} IP fragments")
    clear = marks(f"{args.out}/wan.pcap", args.mark)
    report.verdict(clear == 0, f"ping payload not readable on the WAN ({clear} hits)")
    if not args.no_lan:
        inside = marks(f"{args.out}/lan.pcap", args.mark)
        report.verdict(inside > 0, f"same payload seen on the LAN ({inside} hits)")
    return report


def main():
    args = arguments()
    wire = Wire(args.inner, args.beyond)
    with open(f"{args.out}/wan.csv", encoding="utf-8") as fields:
        for row in csv.DictReader(fields):
            wire.add(collections.defaultdict(str, {k: v or "" for k, v in row.items() if k}))
    sys.exit(1 if judge(args, wire).failed else 0)


main()
