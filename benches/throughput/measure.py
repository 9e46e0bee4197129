"""One measurement: rates by iperf3, round-trip times by ping, CPU time from /proc."""

import json
import os
import re
import statistics
import time
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE, TimeoutExpired

from topology import Failed, LAN_HOST, kill

TICKS = os.sysconf("SC_CLK_TCK")
CPUS = os.cpu_count()

# Unlikely to be in use by anything else in the namespace.
IPERF_PORT = "5201"


@dataclass(frozen=True)
class Load:
    """A kind of TCP traffic."""

    name: str
    streams: int
    down: bool


LOADS = (Load("1 up", 1, False), Load("1 down", 1, True), Load("4 up", 4, False), Load("4 down", 4, True))


def wait_for_ping(topology, seconds=10):
    """Waits until the LAN host answers the client."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = topology.within(topology.client, "ping", "-c1", "-W1", LAN_HOST, check=False)
        if " 0% packet loss" in answer:
            return
        time.sleep(0.1)
    raise Failed("the LAN host does not answer through the tunnel")


def idle_rtt(topology):
    """Round-trip times in milliseconds without other traffic."""
    return {"rtt_ms": _median_rtt(topology.within(topology.client, "ping", "-i", "0.01", "-c", "100", LAN_HOST))}


def tcp(topology, candidate, load, seconds):
    """Rate, CPU time and, for a single stream, the round-trip time meanwhile."""
    server = topology.start(topology.lan, "iperf3", "-s", "-1", "-B", LAN_HOST, "-p", IPERF_PORT, stdout=DEVNULL)
    ping = None
    try:
        time.sleep(0.2)
        if load.streams == 1:
            ping = topology.start(topology.client, "ping", "-i", "0.02", "-w", str(seconds), LAN_HOST, stdout=PIPE, text=True)
        before = Usage.now(topology, candidate)
        command = ["iperf3", "-c", LAN_HOST, "-p", IPERF_PORT, "-t", str(seconds), "-P", str(load.streams), "-J"]
        client = topology.start(topology.client, *command, *(["-R"] if load.down else []), stdout=PIPE, text=True)
        output, _ = client.communicate(timeout=seconds + 20)
        usage = Usage.now(topology, candidate).since(before)
        rtt = {"loaded_rtt_ms": _median_rtt(ping.communicate(timeout=10)[0])} if ping else {}
        server.wait(timeout=10)
    except TimeoutExpired:
        raise Failed(f"iperf3 hangs ({load.name})") from None
    finally:
        for process in (server, ping):
            if process and process.poll() is None:
                kill(process.pid)
                process.wait()
    return _rate(output, usage) | rtt


def _rate(output, usage):
    try:
        report = json.loads(output)
    except ValueError:
        raise Failed("iperf3 ended without a report") from None
    if "error" in report:
        raise Failed(f"iperf3: {report['error']}")
    received = report["end"]["sum_received"]
    kilobytes = received["bytes"] / 1000
    if kilobytes == 0:
        raise Failed("iperf3: nothing came through")
    return {
        "gbps": received["bits_per_second"] / 1e9,
        "gateway_ns_per_kb": usage.gateway * 1e9 / kilobytes,
        "client_ns_per_kb": usage.client * 1e9 / kilobytes,
        "foreign": usage.foreign / usage.wall / CPUS,
    }


def _median_rtt(output):
    times = [float(time) for time in re.findall(r"time=([\d.]+)", output)]
    return statistics.median(times) if times else None


@dataclass(frozen=True)
class Usage:
    """CPU seconds since some moment: of the gateway's and the client's processes, and of all that has nothing to do with
    the measurement."""

    wall: float
    gateway: float
    client: float
    foreign: float

    @classmethod
    def now(cls, topology, candidate):
        gateway = sum(cpu_seconds(pid) for pid in candidate.gateway_pids)
        client = sum(cpu_seconds(pid) for pid in candidate.client_pids)
        return cls(time.monotonic(), gateway, client, foreign_seconds(topology))

    def since(self, before):
        return Usage(self.wall - before.wall, self.gateway - before.gateway, self.client - before.client,
                     max(self.foreign - before.foreign, 0.0))


# Fields of /proc/PID/stat after the program's name, counted from the state (field 3 of proc(5)).
FLAGS, USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM = 6, 11, 12, 13, 14
KERNEL_THREAD = 0x200000


def _stat(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _network_namespace(pid):
    """Its inode number; `None` if the process has ended or hides it, which none of ours does."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def cpu_seconds(pid):
    """CPU time of a process with all its threads, system calls included."""
    fields = _stat(pid)
    return (int(fields[USER]) + int(fields[SYSTEM])) / TICKS if fields else 0.0


def foreign_seconds(topology):
    """CPU time of all processes outside the namespaces, and of their children that have ended; not of the kernel's own."""
    own = {os.stat(f"/run/netns/{namespace}").st_ino for namespace in topology.namespaces}
    ticks = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        fields = _stat(pid)
        if fields is None or int(fields[FLAGS]) & KERNEL_THREAD or int(pid) == os.getpid():
            continue
        if _network_namespace(pid) not in own:
            ticks += sum(int(fields[i]) for i in (USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM))
    return ticks / TICKS
