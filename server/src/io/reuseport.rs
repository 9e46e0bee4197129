//! Which worker gets a datagram: classic BPF programs that the kernel runs per packet (socket(7), linux/filter.h).
//!
//! The first octet of every SPI that we hand out is 1 + the index of its worker. On port 4500 a program chooses among the
//! sockets of the SO_REUSEPORT group; a raw socket sees all ESP packets and keeps its own. What names no worker (IKE behind
//! its non-ESP marker, keepalives, unknown SPIs) is spread by the kernel's hash of the addresses, or dropped on raw sockets.

use std::io;
use std::os::fd::BorrowedFd;

use libc::sock_filter;
use socket2::{SockFilter, Socket};

use super::sys;

/// Answer of a group's program that leaves the choice to the kernel's hash: no socket has this index.
const BY_HASH: u32 = u32::MAX;

/// Answer of a socket's program to keep a packet whole.
const KEEP: u32 = u32::MAX;

/// Chooses the socket for ESP in UDP: SPI's first octet less 1. Sockets count in the order in which they were bound.
#[must_use]
pub fn esp_in_udp(workers: u8) -> Vec<sock_filter> {
    vec![
        statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0),
        jump(libc::BPF_JEQ, 0, 3, 0),
        jump(libc::BPF_JGT, workers.into(), 2, 0),
        statement(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_K, 1),
        statement(libc::BPF_RET | libc::BPF_A, 0),
        statement(libc::BPF_RET | libc::BPF_K, BY_HASH),
    ]
}

/// Keeps the ESP packets of the worker with this index. A raw IPv4 socket sees the IP header, an IPv6 one does not.
#[must_use]
pub fn raw_esp(worker: u8, ipv6: bool) -> Vec<sock_filter> {
    let first_octet = worker.saturating_add(1);
    let mut program = if ipv6 {
        vec![statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0)]
    } else {
        vec![
            statement(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0),
            statement(libc::BPF_LD | libc::BPF_B | libc::BPF_IND, 0),
        ]
    };
    program.extend([
        jump(libc::BPF_JEQ, first_octet.into(), 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, KEEP),
        statement(libc::BPF_RET | libc::BPF_K, 0),
    ]);
    program
}

/// Keeps no packet.
#[must_use]
pub fn nothing() -> Vec<sock_filter> {
    vec![statement(libc::BPF_RET | libc::BPF_K, 0)]
}

/// Gives a program to the SO_REUSEPORT group of a bound socket.
///
/// # Errors
/// What the kernel reports.
pub fn attach_to_group(socket: BorrowedFd<'_>, program: &[sock_filter]) -> io::Result<()> {
    sys::attach_reuseport_program(socket, program)
}

/// Gives a program to one socket.
///
/// # Errors
/// What the kernel reports.
pub fn attach_to_socket(socket: &Socket, program: &[sock_filter]) -> io::Result<()> {
    let program: Vec<SockFilter> = program.iter().map(|s| SockFilter::new(s.code, s.jt, s.jf, s.k)).collect();
    socket.attach_filter(&program)
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("instruction codes have 16 bits"), jt: 0, jf: 0, k }
}

/// Compares the accumulator with `k` and skips `if_true` or `if_false` instructions.
fn jump(condition: u32, k: u32, if_true: u8, if_false: u8) -> sock_filter {
    let compare = statement(libc::BPF_JMP | condition | libc::BPF_K, k);
    sock_filter { jt: if_true, jf: if_false, ..compare }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel does: a load beyond the packet ends it with 0.
    fn run(program: &[sock_filter], packet: &[u8]) -> u32 {
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
        loop {
            let i = program[at];
            at += 1;
            let load = |offset: u32| packet.get(offset as usize).map(|octet| u32::from(*octet));
            let code = u32::from(i.code);
            if code == libc::BPF_LD | libc::BPF_B | libc::BPF_ABS {
                let Some(octet) = load(i.k) else { return 0 };
                a = octet;
            } else if code == libc::BPF_LD | libc::BPF_B | libc::BPF_IND {
                let Some(octet) = load(x + i.k) else { return 0 };
                a = octet;
            } else if code == libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH {
                let Some(octet) = load(i.k) else { return 0 };
                x = (octet & 15) * 4;
            } else if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K {
                at += usize::from(if a == i.k { i.jt } else { i.jf });
            } else if code == libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K {
                at += usize::from(if a > i.k { i.jt } else { i.jf });
            } else if code == libc::BPF_ALU | libc::BPF_SUB | libc::BPF_K {
                a -= i.k;
            } else if code == libc::BPF_RET | libc::BPF_A {
                return a;
            } else if code == libc::BPF_RET | libc::BPF_K {
                return i.k;
            } else {
                panic!("instruction {code:#x} is not one of ours");
            }
        }
    }

    #[test]
    fn esp_in_udp_goes_to_the_worker_that_its_spi_names() {
        for workers in [1, 2, 64, 254] {
            let program = esp_in_udp(workers);
            for first in 1..=workers {
                assert_eq!(run(&program, &[first, 0xc0, 0xde, 0x00]), u32::from(first) - 1);
            }
            for first in workers + 1..=u8::MAX {
                assert_eq!(run(&program, &[first]), BY_HASH, "{first} of {workers}");
            }
            assert_eq!(run(&program, &[0, 0, 0, 0, 1, 2, 3]), BY_HASH, "IKE");
            assert_eq!(run(&program, &[]), 0, "an empty datagram");
        }
    }

    #[test]
    fn raw_sockets_share_the_packets_without_overlap() {
        for first in 0..=u8::MAX {
            let esp = [first, 1, 2, 3, 0, 0, 0, 1];
            for header_words in [5, 15] {
                let mut ipv4 = vec![0; header_words * 4];
                ipv4[0] = 0x40 | u8::try_from(header_words).unwrap();
                ipv4.extend(esp);
                let kept: Vec<u8> = (0..4).filter(|worker| run(&raw_esp(*worker, false), &ipv4) == KEEP).collect();
                let wanted: Vec<u8> = (1..=4).contains(&first).then(|| first - 1).into_iter().collect();
                assert_eq!(kept, wanted);
            }
            for worker in 0..4 {
                assert_eq!(run(&raw_esp(worker, true), &esp) == KEEP, first == worker + 1);
            }
        }
        assert_eq!(run(&raw_esp(0, false), &[0x45; 20]), 0, "nothing behind the IP header");
    }
}
