//! Calls that are judged on their registers alone: other processes' memory, raw sockets, bpf, kernel modules, io_uring,
//! namespaces and mounts, signals.
//!
//! Judged when the call is entered: registers cannot be changed by another thread, and nothing has happened yet.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::call::Register;
use monitor_common::event::{CARRIED_OUT, Header, Kind, Subject};
use monitor_common::label::Label;
use monitor_common::object::KernelObject;
use monitor_common::verdict::Achieved;

use crate::engine::judge::{judge, kernel_object};
use crate::engine::{act, label, record};
use crate::kernel::registers::Registers;
use crate::kernel::task::current_ids;
use crate::syscall;

// include/linux/socket.h and include/linux/net.h.
const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
const SOCK_TYPE_MASK: u32 = 0xf;
const SOCK_RAW: u32 = 3;
const IPPROTO_ICMP: u32 = 1;
const IPPROTO_ICMPV6: u32 = 58;

// include/uapi/linux/ptrace.h: the two requests that begin a trace of another process.
const PTRACE_ATTACH: u64 = 16;
const PTRACE_SEIZE: u64 = 0x4206;

/// include/uapi/linux/sched.h.
const CLONE_NEWUSER: u64 = 0x1000_0000;

#[raw_tracepoint(tracepoint = "sys_enter")]
pub(crate) fn facility_enter(ctx: RawTracePointContext) -> i32 {
    let _ = try_facility(&ctx);
    0
}

#[inline(always)]
fn try_facility(ctx: &RawTracePointContext) -> Option<()> {
    let registers = Registers(ctx.arg(0));
    let number = ctx.arg::<u64>(1) as i32;
    let label = label::current()?;
    let call = syscall::call(number as u32)?;
    let action = Action::from_raw(call.action)?;
    let first = registers.argument(0);
    let (object, detail) = match Register::from_raw(call.register)? {
        Register::None => return None,
        Register::Socket => {
            let (family, kind, protocol) =
                (first as u32, registers.argument(1) as u32 & SOCK_TYPE_MASK, registers.argument(2) as u32);
            (
                socket(family, kind, protocol)?,
                u64::from(family) << 32 | u64::from(kind) << 16 | u64::from(protocol),
            )
        }
        Register::Ptrace => {
            let target = registers.argument(1);
            if first != PTRACE_ATTACH && first != PTRACE_SEIZE {
                return None;
            }
            (outside_scope(&label, target as i32, KernelObject::ForeignMemory)?, target)
        }
        Register::Process => (outside_scope(&label, first as i32, KernelObject::ForeignMemory)?, first),
        Register::Signal => (signalled(&label, first as i32, registers.argument(1))?, first),
        Register::SignalThread => (signalled(&label, first as i32, registers.argument(2))?, first),
        Register::Whole => (KernelObject::from_raw(call.object)?, first),
        Register::Namespaces => {
            if first & CLONE_NEWUSER == 0 {
                return None;
            }
            (KernelObject::UserNamespace, first)
        }
        Register::Descriptor => (KernelObject::ForeignProcess, first),
    };
    report(&label, action, object, number, detail);
    Some(())
}

/// Judges a kernel object and carries the verdict out.
#[inline(always)]
pub(crate) fn report(label: &Label, action: Action, object: KernelObject, number: i32, detail: u64) {
    let Some(judgement) = judge(label, action, [kernel_object(object), 0, 0, 0]) else {
        return;
    };
    let achieved = act::by_signal(label, judgement.verdict);
    let mut header = Header::default();
    record::begin(&mut header, Kind::Verdict, label);
    record::judged(&mut header, action, &judgement, achieved);
    // A socket or a ring is of no use to a dead process; a signal that was sent and a mount that was made stay.
    if achieved == Achieved::Killed && matches!(object, KernelObject::ForeignProcess | KernelObject::Mount) {
        header.flags = CARRIED_OUT;
    }
    header.subject = match object {
        KernelObject::ForeignMemory | KernelObject::ForeignProcess => Subject::Process as u8,
        _ => Subject::Kernel as u8,
    };
    header.syscall = number;
    header.detail = detail;
    record::submit_header(&mut header);
}

/// Sockets that an install has no use for.
#[inline(always)]
fn socket(family: u32, kind: u32, protocol: u32) -> Option<KernelObject> {
    match family {
        0 | AF_UNIX | AF_NETLINK => None,
        AF_INET | AF_INET6 => {
            let raw = kind == SOCK_RAW || protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
            raw.then_some(KernelObject::RawSocket)
        }
        _ => Some(KernelObject::OddSocket),
    }
}

/// `object`, if the process is not of the caller's scope.
#[inline(always)]
fn outside_scope(label: &Label, target: i32, object: KernelObject) -> Option<KernelObject> {
    if target as u32 == current_ids().0 {
        return None;
    }
    match label::of(target as u32) {
        Some(other) if other.scope == label.scope && other.tree == label.tree => None,
        _ => Some(object),
    }
}

/// A signal to a process outside the tree, or to everybody. Signal 0 asks whether a process exists.
#[inline(always)]
fn signalled(label: &Label, target: i32, signal: u64) -> Option<KernelObject> {
    if signal == 0 {
        return None;
    }
    if target == -1 {
        return Some(KernelObject::ForeignProcess);
    }
    if target <= 0 {
        // A process group: the caller's own, or one it names; groups of a tree are made by the tree.
        return None;
    }
    match label::of(target as u32) {
        Some(other) if other.tree == label.tree => None,
        _ => Some(KernelObject::ForeignProcess),
    }
}
