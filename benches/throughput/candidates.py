"""What is measured: each candidate starts both ends of a tunnel between the client and the gateway namespace.

A candidate fills `gateway_pids` and `client_pids`, whose CPU time is counted, and returns from `start` when the client
routes the LAN through its tunnel. Logs and configuration go to `run_dir`. Processes end with the namespaces.
"""

import json
import os
import subprocess

import topology as net
from topology import Failed, until

# Long enough that no gateway complains; protects nothing but the benchmark.
PSK = "for the benchmark and nothing else"


class Candidate:
    """One kind of tunnel."""

    name = None
    about = None

    def __init__(self, topology, run_dir, binaries):
        self.topology, self.run_dir, self.binaries = topology, run_dir, binaries
        self.gateway_pids, self.client_pids = [], []

    def start(self):
        """Brings the tunnel up."""
        raise NotImplementedError

    def start_gateway(self, *command, **kwargs):
        """Starts a program of the gateway and counts its CPU time."""
        process = self._start(self.topology.gateway, "gateway", command, **kwargs)
        self.gateway_pids.append(process.pid)
        return process

    def start_client(self, *command, **kwargs):
        """Starts a program of the client and counts its CPU time."""
        process = self._start(self.topology.client, "client", command, **kwargs)
        self.client_pids.append(process.pid)
        return process

    def _start(self, namespace, end, command, **kwargs):
        with open(self.path(f"{end}.log"), "a") as log:
            kwargs = {"stdout": log, "stderr": log} | kwargs
            return self.topology.start(namespace, *command, **kwargs)

    def path(self, name):
        """A file of this run."""
        return os.path.join(self.run_dir, name)

    def write(self, name, text):
        """Writes a file of this run, readable for nobody else."""
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        return self.path(name)

    def log_tail(self):
        """The end of the logs, to explain a failure."""
        tails = []
        for end in ("gateway", "client"):
            if os.path.exists(self.path(f"{end}.log")):
                with open(self.path(f"{end}.log"), errors="replace") as log:
                    tails += [f"  {end}: {line.rstrip()}" for line in log.readlines()[-5:]]
        return "\n".join(tails)


class Plain(Candidate):
    """No tunnel: what the machine forwards at most."""

    name = "plain"
    about = "forwarding by the kernel, no tunnel"

    def start(self):
        net.run("ip", "-n", self.topology.client, "route", "add", net.LAN_NET, "via", net.GATEWAY_WAN)


class Relay(Candidate):
    """The least that a userspace gateway has to do."""

    name = "relay-vnet-gcm"
    about = "AES-256-GCM between TUN and UDP, one peer, nothing checked but the ICV: the limit"

    def start(self):
        relay = self.binaries.find("relay")
        ends = (f"{net.GATEWAY_WAN}:4500", f"{net.CLIENT_WAN}:4500")
        self.start_gateway(relay, "tun0", *ends)
        self.start_client(relay, "tun0", *reversed(ends))
        for namespace, address in ((self.topology.gateway, net.GATEWAY_INNER), (self.topology.client, net.CLIENT_INNER)):
            self.topology.wait_for_device(namespace, "tun0")
            self.topology.configure_tunnel(namespace, "tun0", address)
        self.topology.route_lan_through("tun0")


class Cygnet(Candidate):
    """`cygnet run` as the gateway, Cygnet's data plane behind the test initiator as the client."""

    name = "cygnet"
    about = "IKEv2 with a pre-shared key, ESP in UDP, AES-256-GCM"

    CONFIG = """\
[remote]
name = "gateway.example"
protocols = ["ikev2"]
psk = "{psk}"
pool = "{pool}"
routes = ["{lan}"]
nat = false
esp = ["aes256gcm16"]
force_udp_encap = true
mtu = {mtu}

[daemon]
state_dir = "{run_dir}/state"
socket = "{run_dir}/control.sock"
users_file = "{run_dir}/users.toml"
"""

    def start(self):
        os.makedirs(self.path("state"), mode=0o700, exist_ok=True)
        config = self.CONFIG.format(psk=PSK, pool=net.POOL, lan=net.LAN_NET, mtu=net.TUNNEL_MTU, run_dir=self.run_dir)
        path = self.write("cygnet.toml", config)
        gateway = self.start_gateway(self.binaries.find("cygnet"), "--config", path, "run")
        until(lambda: gateway.poll() is not None or self._listens(), 10, "cygnet does not listen on UDP 500")
        if gateway.poll() is not None:
            raise Failed("cygnet has ended")
        client = self.start_client(self.binaries.find("client"), "cygnet0", net.CLIENT_WAN, net.GATEWAY_WAN, PSK,
                                   str(net.TUNNEL_MTU), stdout=subprocess.PIPE, text=True)
        if not client.stdout.readline():
            raise Failed("the client did not get in")
        self.topology.route_lan_through("cygnet0")

    def _listens(self):
        return ":500 " in self.topology.within(self.topology.gateway, "ss", "-Huln", check=False)


class StrongSwan(Candidate):
    """strongSwan on both ends with its userspace ESP (kernel-libipsec), as charon runs where the kernel has no ESP."""

    name = "strongswan"
    about = "charon with kernel-libipsec, IKEv2 with a pre-shared key, ESP in UDP, AES-256-GCM"

    PLUGINS = ("random nonce x509 constraints pubkey pem pkcs1 pkcs8 openssl aes sha1 sha2 hmac kdf gcm ccm chapoly ctr "
               "drbg curve25519 kernel-libipsec kernel-netlink socket-default vici")
    CHARON = "/usr/lib/ipsec/charon"

    DAEMON = """\
charon {{
  load_modular = no
  load = {plugins}
  install_routes = yes
  threads = 16
  plugins {{
    vici {{ socket = unix://{vici} }}
    kernel-libipsec {{ allow_peer_ts = yes }}
  }}
  filelog {{ stderr {{ default = 1 }} }}
}}
"""
    GATEWAY = """\
connections {{ t {{
  version = 2
  proposals = aes256-sha256-x25519
  mobike = no
  local_addrs = {gateway}
  pools = p
  local {{ auth = psk
    id = gateway.example }}
  remote {{ auth = psk }}
  children {{ c {{ local_ts = {lan}
    esp_proposals = aes256gcm16 }} }}
}} }}
pools {{ p {{ addrs = {inner}/32 }} }}
secrets {{ ike-1 {{ secret = "{psk}" }} }}
"""
    CLIENT = """\
connections {{ t {{
  version = 2
  proposals = aes256-sha256-x25519
  mobike = no
  local_addrs = {client}
  remote_addrs = {gateway}
  vips = 0.0.0.0
  local {{ auth = psk
    id = client.example }}
  remote {{ auth = psk
    id = gateway.example }}
  children {{ c {{ remote_ts = {lan}
    esp_proposals = aes256gcm16 }} }}
}} }}
secrets {{ ike-1 {{ secret = "{psk}" }} }}
"""

    def start(self):
        if not os.path.exists(self.CHARON):
            raise Failed(f"there is no {self.CHARON}; install strongswan-charon, strongswan-swanctl, "
                         "libcharon-extra-plugins and libstrongswan-standard-plugins")
        values = {"gateway": net.GATEWAY_WAN, "client": net.CLIENT_WAN, "lan": net.LAN_NET, "psk": PSK,
                  "inner": net.CLIENT_INNER}
        self._charon("gateway", self.start_gateway, self.GATEWAY.format(**values))
        self._charon("client", self.start_client, self.CLIENT.format(**values))
        self._swanctl("client", "--initiate", "--child", "c", "--timeout", "20")
        for namespace in (self.topology.gateway, self.topology.client):
            net.run("ip", "-n", namespace, "link", "set", "ipsec0", "mtu", str(net.TUNNEL_MTU),
                    "txqueuelen", str(net.TUN_QUEUE_LENGTH))

    def _charon(self, end, start, connections):
        daemon = self.write(f"{end}.conf", self.DAEMON.format(plugins=self.PLUGINS, vici=self.path(f"{end}.vici")))
        self.write(f"{end}.swanctl", connections)
        # Its process id file has a fixed place, so each charon gets a /run of its own.
        start("unshare", "--mount", "sh", "-c", f"mount -t tmpfs tmpfs /run && exec {self.CHARON}",
              env={"STRONGSWAN_CONF": daemon})
        until(lambda: os.path.exists(self.path(f"{end}.vici")), 10, f"charon of the {end} does not start")
        self._swanctl(end, "--load-all", "--noprompt", "--file", self.path(f"{end}.swanctl"))

    def _swanctl(self, end, *command):
        namespace = getattr(self.topology, end)
        net.Topology.within(namespace, "swanctl", *command, "--uri", f"unix://{self.path(f'{end}.vici')}")


CANDIDATES = {candidate.name: candidate for candidate in (Plain, Relay, StrongSwan, Cygnet)}


class Binaries:
    """Where the programs of the workspace are."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)

    def find(self, name):
        """The path of a program."""
        path = os.path.join(self.folder, name)
        if not os.access(path, os.X_OK):
            raise Failed(f"there is no {path}; build it with: cargo build --release -p cygnet-server -p cygnet-benches --bins")
        return path

    @staticmethod
    def target_dir():
        """Where cargo puts release builds of this workspace."""
        here = os.path.dirname(os.path.abspath(__file__))
        metadata = net.run("cargo", "metadata", "--format-version", "1", "--no-deps", "--offline",
                           "--manifest-path", os.path.join(here, "..", "Cargo.toml"))
        return os.path.join(json.loads(metadata)["target_directory"], "release")
