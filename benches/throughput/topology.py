"""The network of a measurement: three namespaces on one machine.

    client 10.61.0.2 --veth-- 10.61.0.1 gateway 10.62.0.1 --veth-- 10.62.0.2 lan

The tunnel runs between client and gateway; inside it the client has 10.63.0.2.
"""

import os
import signal
import subprocess
import time

CLIENT_WAN = "10.61.0.2"
GATEWAY_WAN = "10.61.0.1"
GATEWAY_LAN = "10.62.0.1"
LAN_HOST = "10.62.0.2"
LAN_NET = "10.62.0.0/24"
CLIENT_INNER = "10.63.0.2"
GATEWAY_INNER = "10.63.0.1"
POOL = "10.63.0.0/24"

# Octets, for every tunnel: what the largest overhead among the candidates leaves of 1500.
TUNNEL_MTU = 1400

# Packets. A thread that waits a few milliseconds for a core must not lose what the kernel sends meanwhile.
TUN_QUEUE_LENGTH = 4000


class Failed(Exception):
    """A command or a step of the measurement failed; the text says which."""


def run(*command, check=True):
    """Runs a command to its end and returns what it prints."""
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Topology:
    """The namespaces, as a context manager that leaves nothing behind."""

    def __init__(self, prefix):
        self.client, self.gateway, self.lan = (prefix + name for name in ("client", "gateway", "lan"))
        self.namespaces = (self.client, self.gateway, self.lan)

    def __enter__(self):
        self.remove()
        try:
            self._build()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.remove()

    def _build(self):
        for namespace in self.namespaces:
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        self._connect("wan", (self.client, CLIENT_WAN), (self.gateway, GATEWAY_WAN))
        self._connect("lan", (self.gateway, GATEWAY_LAN), (self.lan, LAN_HOST))
        run("ip", "-n", self.lan, "route", "add", "default", "via", GATEWAY_LAN)
        for namespace in self.namespaces:
            settings = ["net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"]
            if namespace == self.gateway:
                settings.append("net.ipv4.ip_forward=1")
            self.within(namespace, "sysctl", "-qw", *settings)

    @staticmethod
    def _connect(device, *ends):
        (one, _), (other, _) = ends
        run("ip", "link", "add", device, "netns", one, "type", "veth", "peer", "name", device, "netns", other)
        for namespace, address in ends:
            run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", device)
            run("ip", "-n", namespace, "link", "set", device, "up")

    @staticmethod
    def within(namespace, *command, check=True):
        """Runs a command inside a namespace."""
        return run("ip", "netns", "exec", namespace, *command, check=check)

    @staticmethod
    def start(namespace, *command, env=None, **kwargs):
        """Starts a program inside a namespace. `ip` becomes the program, so the process id is the program's own."""
        env = None if env is None else os.environ | env
        return subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdin=subprocess.DEVNULL, env=env, **kwargs)

    def remove(self):
        """Ends every process in the namespaces, by its id, and removes them; also those of a run that was killed."""
        for namespace in self.namespaces:
            if not os.path.exists(f"/run/netns/{namespace}"):
                continue
            for pid in run("ip", "netns", "pids", namespace, check=False).split():
                kill(int(pid))
            run("ip", "netns", "delete", namespace, check=False)

    def wait_for_device(self, namespace, device, seconds=10):
        """Waits until a program has made its interface."""
        until(lambda: f" {device}:" in run("ip", "-n", namespace, "link", check=False), seconds,
              f"there is no interface {device} in {namespace}")

    def configure_tunnel(self, namespace, device, address):
        """Gives a tunnel interface its address, queue and MTU."""
        run("ip", "-n", namespace, "address", "replace", f"{address}/24", "dev", device)
        run("ip", "-n", namespace, "link", "set", device, "up", "mtu", str(TUNNEL_MTU),
            "txqueuelen", str(TUN_QUEUE_LENGTH))

    def route_lan_through(self, device):
        """Sends the client's packets for the LAN into a tunnel."""
        run("ip", "-n", self.client, "route", "replace", LAN_NET, "dev", device)


def kill(pid):
    """Kills one process, if it still exists."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def until(is_true, seconds, complaint):
    """Waits until `is_true()` holds."""
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise Failed(complaint)
        time.sleep(0.05)
