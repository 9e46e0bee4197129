#!/usr/bin/env python3
"""iperf-rate.py FILE: the received rate in Mbit/s of an iperf3 report in JSON, 0 if there is none."""

import json
import sys

try:
    with open(sys.argv[1], encoding="utf-8") as report:
        end = json.load(report)["end"]
    rate = (end.get("sum_received") or end["sum"])["bits_per_second"]
except (OSError, ValueError, KeyError):
    rate = 0
print(round(rate / 1e6, 1))
