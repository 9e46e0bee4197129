#!/usr/bin/env python3
"""ping-count.py LOG: prints SENT LOST TWICE [NUMBERS OF THE LOST...] from the output of ping.

A sequence number counts as lost if a later one was answered, or if more than ten at the end were not."""

import re
import sys

IN_FLIGHT = 10

with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
    text = log.read()
answers = [int(n) for n in re.findall(r"bytes from .*?icmp_seq=(\d+)", text)]
summary = re.search(r"(\d+) packets transmitted", text)
sent = int(summary.group(1)) if summary else 0
last = max(answers, default=0)
lost = [n for n in range(1, last + 1) if n not in set(answers)]
if sent - last > IN_FLIGHT:
    lost += range(last + 1, sent + 1)
print(sent, len(lost), len(answers) - len(set(answers)), *lost[:40])
