"""Measures tunnels side by side on one machine: TCP rates, round-trip times, CPU time of the gateway.

    python3 benches/throughput [CANDIDATE...]

Every round starts each candidate anew, one after the other, so that a machine that gets busier is busy for all of them.
Needs root, iproute2, iperf3 and ping. README.md tells what the figures mean.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile

sys.dont_write_bytecode = True

import measure
import report
from candidates import CANDIDATES, Binaries
from topology import Failed, Topology


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("network namespaces and TUN devices need root")
    # A signal becomes an exception, so that namespaces and processes go away with it.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("ended by a signal"))
    prioritize(options.nice)
    environment = report.environment()
    results, failures = measure_all(options)
    if any(results.values()):
        show(environment, {name: rounds for name, rounds in results.items() if rounds})
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)
    sys.exit(1 if failures else 0)


def measure_all(options):
    """The figures of every round by candidate, and how many rounds failed. Logs stay only if one did."""
    results, failures = {name: [] for name in options.candidates}, 0
    scratch = tempfile.mkdtemp(prefix="cygnet-bench-")
    try:
        for number in range(1, options.rounds + 1):
            for name in options.candidates:
                print(f"round {number}/{options.rounds}: {name}", file=sys.stderr, flush=True)
                try:
                    results[name].append(one_round(options, name, os.path.join(scratch, f"{name}-{number}")))
                except Failed as failure:
                    failures += 1
                    print(f"{name}: {failure}", file=sys.stderr)
    finally:
        if failures:
            print(f"{failures} rounds failed; their logs are in {scratch}", file=sys.stderr)
        else:
            shutil.rmtree(scratch)
    return results, failures


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidates", nargs="*", metavar="CANDIDATE", default=list(CANDIDATES),
                        help=f"what to measure (all: {', '.join(CANDIDATES)})")
    parser.add_argument("--rounds", type=int, default=3, help="how often each one is measured (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one TCP run (%(default)s)")
    parser.add_argument("--bin", metavar="FOLDER", help="where cygnet, client and relay are (target/release)")
    parser.add_argument("--prefix", default="cgb-", help="of the namespaces' names (%(default)s)")
    parser.add_argument("--nice", type=int, default=0, metavar="N",
                        help="nice value of all processes of the run; below 0 on a machine that does other things, too")
    parser.add_argument("--json", metavar="FILE", help="write every single figure to it")
    options = parser.parse_args()
    for name in options.candidates:
        if name not in CANDIDATES:
            parser.error(f"there is no candidate {name}; there are {', '.join(CANDIDATES)}")
    return options


def prioritize(nice):
    """The scheduler weighs sessions against each other before it weighs their processes, so both get the value."""
    if nice == 0:
        return
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    try:
        if os.getpgid(0) != os.getpid():
            os.setsid()
        with open("/proc/self/autogroup", "w") as file:
            file.write(str(nice))
    except OSError as error:
        print(f"the session keeps its priority: {error}", file=sys.stderr)


def one_round(options, name, run_dir):
    """Everything that is measured, for one candidate."""
    os.makedirs(run_dir, mode=0o700)
    with Topology(options.prefix) as topology:
        candidate = CANDIDATES[name](topology, run_dir, Binaries(options.bin or Binaries.target_dir()))
        try:
            candidate.start()
            measure.wait_for_ping(topology)
            figures = {"idle": measure.idle_rtt(topology)}
            for load in measure.LOADS:
                figures[load.name] = measure.tcp(topology, candidate, load, options.seconds)
        except Failed as failure:
            raise Failed(f"{failure}\n{candidate.log_tail()}") from None
        return figures


def show(environment, results):
    print(f"\n{environment}\n")
    for name in results:
        print(f"- {name}: {CANDIDATES[name].about}")
    print("\nTCP in Gbit/s, by streams and direction: median (least - most). RTT in ms: median, idle and beside one stream.\n")
    print(report.rates(results))
    print("\nCPU time in ns for each kB of TCP payload; share of the machine that other programs took.\n")
    print(report.costs(results))
    for reference in ("relay-vnet-gcm", "strongswan"):
        if reference in results and len(results) > 1:
            print(f"\nRatios to {reference}. Higher is better for TCP, lower for CPU time and RTT.\n")
            print(report.ratios(results, reference))


if __name__ == "__main__":
    main()
