//! `relay`: the least that a userspace gateway has to do per packet, as the limit that Cygnet is measured against.
//!
//! Two threads and nothing shared: TUN to UDP takes super-packets (virtio-net header, TSO), cuts them into segments,
//! seals each with AES-256-GCM and sends runs of equal length in one call (UDP_SEGMENT); UDP to TUN receives runs
//! (UDP_GRO), opens each datagram and puts TCP segments together again.
//!
//! Does not: negotiate, look up an SA, check replays or selectors, pad, count, handle IPv6 or more than one peer.
//! Its key is a constant: never carry real traffic over it.
//!
//! Usage: `relay TUN LOCAL PEER`, the last two as `IP:PORT`.

mod checksum;
mod coalesce;
mod seal;
mod segment;
mod sys;

use std::error::Error;
use std::fs::File;
use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::thread;

use coalesce::Coalescer;
use seal::{Opener, Sealer};
use segment::Datagrams;
use sys::Inbox;

/// TUN reads before what was collected is sent.
const READS_PER_TURN: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, local, peer] = arguments.as_slice() else { return Err("usage: relay TUN LOCAL PEER".into()) };
    let tun = Arc::new(sys::open_tun(name)?);
    let socket = Arc::new(sys::open_udp(local.parse::<SocketAddrV4>()?, peer.parse::<SocketAddrV4>()?)?);
    let outbound = {
        let (tun, socket) = (Arc::clone(&tun), Arc::clone(&socket));
        thread::spawn(move || tun_to_udp(&tun, &socket))
    };
    let inbound = thread::spawn(move || udp_to_tun(&socket, &tun));
    outbound.join().map_err(|_| "the sending thread panicked")??;
    inbound.join().map_err(|_| "the receiving thread panicked")??;
    Ok(())
}

fn tun_to_udp(tun: &File, socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = vec![0; sys::SUPER_PACKET_LEN];
    let mut datagrams = Datagrams::new(socket);
    let mut sealer = Sealer::new();
    loop {
        let mut reads = 0;
        while reads < READS_PER_TURN
            && let Some(len) = sys::read_now(tun, &mut buffer)?
        {
            segment::seal_super_packet(&mut buffer[..len], &mut datagrams, &mut sealer);
            reads += 1;
        }
        datagrams.flush();
        if reads == 0 {
            sys::wait_readable(tun)?;
        }
    }
}

fn udp_to_tun(socket: &UdpSocket, tun: &File) -> io::Result<()> {
    let mut inbox = Inbox::new();
    let opener = Opener::new();
    loop {
        let mut coalescer = Coalescer::new(tun);
        for (run, datagram_len) in inbox.receive(socket)? {
            for datagram in run.chunks_mut(datagram_len) {
                if let Some(packet) = opener.open(datagram) {
                    coalescer.push(packet);
                }
            }
        }
        coalescer.flush();
    }
}
