//! Which calls wait for an answer: the seccomp filter, and how each of its calls treats the names it is given.
//!
//! Classic BPF over `struct seccomp_data` (include/uapi/linux/seccomp.h). It sees numbers, never memory, so `openat2`,
//! whose flags lie in memory, is left to the kernel side, as are the calls of other ABIs. For calls that pass whatever
//! their arguments are, the kernel remembers that since v5.11 and does not run the filter.

use libc::{c_long, sock_filter};

use super::reach::{REACHES, Reach, Watchers, Who};
use crate::bpf::call::{FCHMODAT2, REMOVEXATTRAT, SETXATTRAT};

/// How the last component of a call's first name is treated if it is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// The link itself is meant.
    Itself,
    /// The link is followed.
    Followed,
    /// As open flags in this argument say; the call waits only if they would empty a file.
    Open(usize),
    /// Followed unless `AT_SYMLINK_NOFOLLOW` is in this argument.
    Unless(usize),
    /// Followed if `AT_SYMLINK_FOLLOW` is in this argument.
    If(usize),
    /// No path: the address of a socket (`socket`) in this argument, its length in the next; the call waits only if
    /// there is one.
    Address(usize),
    /// No path: the file behind the descriptor that is the first argument.
    Descriptor,
}

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All that the `kill` tier cannot refuse by itself.
    Everything,
    /// New rings only, for the `deny` tier on kernels where it does not see what they do.
    Rings,
}

/// Makes an io_uring. What it is ordered to do passes no tracepoint of system calls.
pub(super) const RING: c_long = libc::SYS_io_uring_setup;

/// The calls that wait; `bpf::call` says where their names are.
const COMMON: &[(c_long, Last)] = &[
    (libc::SYS_renameat, Last::Itself),
    (libc::SYS_renameat2, Last::Itself),
    (libc::SYS_linkat, Last::If(4)),
    (libc::SYS_symlinkat, Last::Itself),
    (libc::SYS_unlinkat, Last::Itself),
    (libc::SYS_truncate, Last::Followed),
    (libc::SYS_fchmodat, Last::Followed),
    (FCHMODAT2, Last::Unless(3)),
    (libc::SYS_openat, Last::Open(2)),
    (libc::SYS_fchmod, Last::Descriptor),
    (libc::SYS_fchownat, Last::Unless(4)),
    (libc::SYS_fchown, Last::Descriptor),
    (libc::SYS_setxattr, Last::Followed),
    (libc::SYS_lsetxattr, Last::Itself),
    (libc::SYS_fsetxattr, Last::Descriptor),
    (SETXATTRAT, Last::Unless(2)),
    (libc::SYS_removexattr, Last::Followed),
    (libc::SYS_lremovexattr, Last::Itself),
    (libc::SYS_fremovexattr, Last::Descriptor),
    (REMOVEXATTRAT, Last::Unless(2)),
    (libc::SYS_connect, Last::Address(1)),
    (libc::SYS_sendto, Last::Address(4)),
];

/// Those that only x86-64 still has.
#[cfg(target_arch = "x86_64")]
const OLD: &[(c_long, Last)] = &[
    (libc::SYS_rename, Last::Itself),
    (libc::SYS_link, Last::Itself),
    (libc::SYS_symlink, Last::Itself),
    (libc::SYS_unlink, Last::Itself),
    (libc::SYS_rmdir, Last::Itself),
    (libc::SYS_chmod, Last::Followed),
    (libc::SYS_chown, Last::Followed),
    (libc::SYS_lchown, Last::Itself),
    (libc::SYS_creat, Last::Followed),
    (libc::SYS_open, Last::Open(1)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[(c_long, Last)] = &[];

/// include/uapi/linux/audit.h: the ABI of this very program, where it is a supported one.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) const ARCHITECTURE: Option<u32> = None;

/// Every call that waits.
pub(super) fn gated() -> impl Iterator<Item = (u32, Last)> {
    COMMON.iter().chain(OLD).filter_map(|(number, last)| Some((u32::try_from(*number).ok()?, *last)))
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ABI: u32 = 4;

/// Lower half of an argument: flags are `int`, and the kernel ignores the upper half.
const fn argument(index: usize) -> u32 {
    let low = if cfg!(target_endian = "big") { 4 } else { 0 };
    16 + 8 * index as u32 + low
}

/// Between the halves of an argument.
const HALF: u32 = 4;

/// Where a jump leads.
#[derive(Clone, Copy)]
enum To {
    /// So many instructions further than the next.
    Skip(u8),
    Allow,
    Wait,
    /// What follows the steps of this call.
    Other,
}

/// An instruction whose jumps are not counted yet.
#[derive(Clone, Copy)]
struct Step(u32, u32, To, To);

const NEXT: To = To::Skip(0);

const fn load(offset: u32) -> Step {
    Step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, NEXT, NEXT)
}

const fn if_equal(value: u32, yes: To, no: To) -> Step {
    Step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, yes, no)
}

const fn if_any(bits: u32, yes: To, no: To) -> Step {
    Step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits, yes, no)
}

const fn mask(bits: u32) -> Step {
    Step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, bits, NEXT, NEXT)
}

/// The steps behind the test of a call's number, for a call that reaches for a process.
fn reaching(reach: &Reach, watchers: Watchers) -> Vec<Step> {
    const NEGATIVE: u32 = 1 << 31;
    let mut steps = Vec::new();
    if let Some((index, values)) = reach.only {
        steps.push(load(argument(index)));
        // The last value decides; those before it jump over the rest.
        let last = values.len().saturating_sub(1);
        for (at, value) in values.iter().enumerate() {
            let skip = To::Skip((last - at) as u8);
            steps.push(if_equal(*value, skip, if at == last { To::Other } else { NEXT }));
        }
    }
    match reach.who {
        Who::Id(index) => steps.extend([
            load(argument(index)),
            if_equal(0, To::Allow, NEXT),
            if_any(NEGATIVE, To::Allow, To::Wait),
        ]),
        Who::Watcher(index) => steps.extend([
            load(argument(index)),
            if_equal(watchers[0], To::Wait, NEXT),
            if_equal(watchers[1], To::Wait, To::Allow),
        ]),
        Who::Descriptor(_) | Who::Owner(_) | Who::Behind(_) => steps.push(if_any(0, To::Wait, To::Wait)),
    }
    steps
}

/// The steps of the calls that change what a name leads to.
fn changing() -> Vec<Step> {
    // A file that must not exist yet is not emptied by opening it.
    const FRESH: u32 = (libc::O_CREAT | libc::O_EXCL) as u32;
    let mut steps = Vec::new();
    for (number, last) in gated() {
        match last {
            Last::Open(flags) => steps.extend([
                if_equal(number, NEXT, To::Skip(4)),
                load(argument(flags)),
                if_any(libc::O_TRUNC as u32, NEXT, To::Allow),
                mask(FRESH),
                if_equal(FRESH, To::Allow, To::Wait),
            ]),
            Last::Address(address) => steps.extend([
                if_equal(number, NEXT, To::Skip(4)),
                load(argument(address)),
                if_equal(0, NEXT, To::Wait),
                load(argument(address) ^ HALF),
                if_equal(0, To::Allow, To::Wait),
            ]),
            _ => steps.push(if_equal(number, To::Wait, NEXT)),
        }
    }
    steps
}

/// The program for calls of the ABI `architecture`.
pub(super) fn program(architecture: u32, watchers: Watchers, extent: Extent) -> Vec<sock_filter> {
    let (changing, reaches) = match extent {
        Extent::Everything => (changing(), REACHES),
        Extent::Rings => (Vec::new(), &[][..]),
    };
    let mut steps = vec![load(ABI), if_equal(architecture, NEXT, To::Allow), load(NUMBER)];
    steps.extend(changing);
    steps.extend(u32::try_from(RING).ok().map(|ring| if_equal(ring, To::Wait, NEXT)));
    for reach in reaches {
        let Ok(number) = u32::try_from(reach.number) else { continue };
        let behind = reaching(reach, watchers);
        let length = behind.len();
        steps.push(if_equal(number, NEXT, To::Skip(length as u8)));
        steps.extend(behind.into_iter().enumerate().map(|(at, Step(code, k, yes, no))| {
            // The same call may be there once more, further down; its number must be loaded again for that.
            let to = |to| if let To::Other = to { To::Skip((length - at - 1) as u8) } else { to };
            Step(code, k, to(yes), to(no))
        }));
        if reach.only.is_some() {
            steps.push(load(NUMBER));
        }
    }
    let end = steps.len();
    let distance = |from: usize, to| match to {
        To::Skip(steps) => steps,
        // Behind the last step stand the two answers. The jumps have 8 bits; a test walks them all.
        To::Allow => (end - from - 1) as u8,
        To::Wait => (end - from) as u8,
        // Resolved above.
        To::Other => 0,
    };
    let answer = |k| sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k };
    let mut program: Vec<sock_filter> = steps
        .iter()
        .enumerate()
        .map(|(at, Step(code, k, yes, no))| sock_filter {
            code: *code as u16,
            jt: distance(at, *yes),
            jf: distance(at, *no),
            k: *k,
        })
        .collect();
    program.extend([answer(libc::SECCOMP_RET_ALLOW), answer(libc::SECCOMP_RET_USER_NOTIF)]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::call;

    const NATIVE: u32 = 0xc000_003e;
    const WATCHERS: Watchers = [4711, 4712];

    /// Runs the program as the kernel would: the few instructions it may have, and no others.
    fn run(number: c_long, abi: u32, arguments: [u64; 6]) -> u32 {
        run_within(Extent::Everything, number, abi, arguments)
    }

    fn run_within(extent: Extent, number: c_long, abi: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend((number as i32).to_ne_bytes());
        data.extend(abi.to_ne_bytes());
        data.extend(0_u64.to_ne_bytes());
        arguments.iter().for_each(|argument| data.extend(argument.to_ne_bytes()));
        let program = program(NATIVE, WATCHERS, extent);
        let (mut at, mut accumulator) = (0, 0_u32);
        loop {
            let step = program[at];
            at += 1;
            let code = u32::from(step.code);
            let jump = |taken| usize::from(if taken { step.jt } else { step.jf });
            if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS {
                let from = step.k as usize;
                accumulator = u32::from_ne_bytes(data[from..from + 4].try_into().unwrap());
            } else if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K {
                accumulator &= step.k;
            } else if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K {
                at += jump(accumulator == step.k);
            } else if code == libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K {
                at += jump(accumulator & step.k != 0);
            } else if code == libc::BPF_RET | libc::BPF_K {
                return step.k;
            } else {
                panic!("an instruction {code:#x} that seccomp does not know");
            }
        }
    }

    #[test]
    fn every_changing_call_waits_and_its_neighbours_do_not() {
        for (number, last) in gated() {
            let mut arguments = [0; 6];
            match last {
                Last::Open(flags) => {
                    arguments[flags] = (libc::O_TRUNC | libc::O_CREAT | libc::O_WRONLY) as u64;
                }
                Last::Address(address) => arguments[address] = 0x1000,
                _ => {}
            }
            assert_eq!(
                run(c_long::from(number), NATIVE, arguments),
                libc::SECCOMP_RET_USER_NOTIF,
                "call {number}"
            );
        }
        for number in [libc::SYS_read, libc::SYS_execve, libc::SYS_close, libc::SYS_openat2, 1_000_000, -1] {
            assert_eq!(run(number, NATIVE, [u64::MAX; 6]), libc::SECCOMP_RET_ALLOW, "call {number}");
        }
    }

    #[test]
    fn a_ring_waits_and_where_it_is_seen_nothing_else_does() {
        for extent in [Extent::Everything, Extent::Rings] {
            assert_eq!(run_within(extent, RING, NATIVE, [0; 6]), libc::SECCOMP_RET_USER_NOTIF);
            assert_eq!(run_within(extent, RING, 0x4000_0003, [0; 6]), libc::SECCOMP_RET_ALLOW);
        }
        for number in [libc::SYS_renameat2, libc::SYS_kill, libc::SYS_io_uring_enter] {
            let answer = run_within(Extent::Rings, number, NATIVE, [4711; 6]);
            assert_eq!(answer, libc::SECCOMP_RET_ALLOW, "call {number}");
        }
    }

    #[test]
    fn another_abi_is_left_to_the_kernel_side() {
        assert_eq!(run(libc::SYS_renameat2, 0x4000_0003, [0; 6]), libc::SECCOMP_RET_ALLOW);
        assert_eq!(run(libc::SYS_renameat2 | 0x4000_0000, NATIVE, [0; 6]), libc::SECCOMP_RET_ALLOW);
    }

    #[test]
    fn an_open_waits_only_if_it_empties_a_file() {
        let open = |flags: i32| run(libc::SYS_openat, NATIVE, [0, 0, flags as u64, 0, 0, 0]);
        assert_eq!(open(libc::O_WRONLY | libc::O_TRUNC), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(open(libc::O_RDONLY | libc::O_TRUNC | libc::O_EXCL), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(open(libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND), libc::SECCOMP_RET_ALLOW);
        assert_eq!(
            open(libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC),
            libc::SECCOMP_RET_ALLOW
        );
        // The kernel takes the flags as an `int`: what stands above them hides nothing.
        let high = [0, 0, libc::O_TRUNC as u64 | 0xffff_ffff_0000_0000, 0, 0, 0];
        assert_eq!(run(libc::SYS_openat, NATIVE, high), libc::SECCOMP_RET_USER_NOTIF);
    }

    #[test]
    fn a_call_waits_if_it_may_reach_for_another_process() {
        for (number, arguments, waits) in [
            (libc::SYS_kill, [1, 9, 0], true),
            (libc::SYS_kill, [0, 9, 0], false),
            (libc::SYS_kill, [-1_i64 as u64, 9, 0], false),
            (libc::SYS_tgkill, [4712, 4712, 9], true),
            (libc::SYS_tgkill, [4713, 4713, 9], false),
            (libc::SYS_pidfd_send_signal, [0, 9, 0], true),
            (libc::SYS_ptrace, [16, 4711, 0], true),
            (libc::SYS_ptrace, [0x4206, 4711, 0], true),
            (libc::SYS_ptrace, [7, 4711, 0], false),
            (libc::SYS_fcntl, [3, 8, 4711], true),
            (libc::SYS_fcntl, [3, 8, -5_i64 as u64], false),
            (libc::SYS_fcntl, [3, 15, 0x7ffc_0000], true),
            (libc::SYS_fcntl, [3, 2, 4711], false),
            (libc::SYS_ioctl, [3, 0x8901, 0x7ffc_0000], true),
            (libc::SYS_ioctl, [3, 0x8902, 0x7ffc_0000], true),
            (libc::SYS_ioctl, [3, 0x5401, 0x7ffc_0000], false),
            (libc::SYS_prlimit64, [0, 7, 0], false),
            (libc::SYS_prlimit64, [4711, 7, 0x7ffc_0000], true),
            (libc::SYS_setpriority, [0, 4711, 19], true),
            (libc::SYS_setpriority, [1, 4711, 19], false),
            // Behind them all: the number is still known.
            (libc::SYS_ioprio_set, [1, 4711, 0], true),
        ] {
            let [first, second, third] = arguments;
            let answer = run(number, NATIVE, [first, second, third, 0, 0, 0]);
            let wanted = if waits { libc::SECCOMP_RET_USER_NOTIF } else { libc::SECCOMP_RET_ALLOW };
            assert_eq!(answer, wanted, "call {number} {arguments:x?}");
        }
    }

    #[test]
    fn a_datagram_waits_only_if_it_has_an_address() {
        let send = |address| run(libc::SYS_sendto, NATIVE, [3, 0, 0, 0, address, 0]);
        assert_eq!(send(0), libc::SECCOMP_RET_ALLOW);
        assert_eq!(send(0x7ffc_0000_1000), libc::SECCOMP_RET_USER_NOTIF);
        // Half of an address may be nothing.
        assert_eq!(send(0x7f00_0000_0000), libc::SECCOMP_RET_USER_NOTIF);
    }

    #[test]
    fn the_names_of_every_call_are_known() {
        for (number, _) in gated() {
            assert!(call::watched().any(|(known, _)| known == number), "call {number} is not in the table");
        }
    }
}
