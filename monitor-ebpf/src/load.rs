//! What would put code into the kernel, or work where nobody looks: bpf, modules, performance events, io_uring.
//!
//! | tier | hook | why this one |
//! |---|---|---|
//! | `deny` | `security_bpf`, kernel/bpf/syscall.c `__sys_bpf`, all supported versions | every command: programs, maps of others by number, pins |
//! | `deny` | `security_kernel_read_file`, `security_kernel_load_data`, kernel/module, kernel/kexec_file.c | modules and kernels, from a file and from memory |
//! | `deny` | `security_perf_event_open`, kernel/events/core.c | samples of others, and probes |
//! | `deny` | `security_uring_override_creds`, io_uring, since v5.16 | work with another's credentials. Opens and connections of a ring pass the other hooks: its workers are threads of the process since v5.12 |
//! | `deny` | `security_uring_allowed`, io_uring/io_uring.c, since v6.15 | the ring itself, where rules refuse it |
//! | `deny` | `trace_io_uring_create`, before v6.15 | the ring itself, by death |
//! | `kill` | entry of the calls | the registers name the act |

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::event::Subject;
use monitor_common::object::KernelObject;

use crate::engine::caller::{About, Answer, Caller, killing, refusing};
use crate::kernel::arguments::Arguments;

/// The object of a new io_uring: on kernels before v5.12 the loader says `io-uring-unseen`.
#[unsafe(no_mangle)]
static RING_OBJECT: u32 = KernelObject::IoUring as u32;

/// enum kernel_read_file_id and enum kernel_load_data_id, include/linux/kernel_read_file.h: firmware is 1, and is asked
/// for by drivers on behalf of whoever opens their device; modules, kernels and their initramfs follow.
const FIRST_CODE: u32 = 2;
const LAST_CODE: u32 = 4;

/// int security_bpf(int cmd, union bpf_attr *attr, unsigned int size)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_bpf")]
extern "C" fn security_bpf(arguments: Arguments) -> i32 {
    let command = arguments.get::<0>();
    refusing(|caller| asked_for(caller, KernelObject::Bpf, command & 0xffff_ffff, -1))
}

/// int security_kernel_read_file(struct file *file, enum kernel_read_file_id id, bool contents)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_kernel_read_file")]
extern "C" fn security_kernel_read_file(arguments: Arguments) -> i32 {
    let id = arguments.get::<1>() as u32;
    refusing(|caller| code(caller, id))
}

/// int security_kernel_load_data(enum kernel_load_data_id id, bool contents)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_kernel_load_data")]
extern "C" fn security_kernel_load_data(arguments: Arguments) -> i32 {
    let id = arguments.get::<0>() as u32;
    refusing(|caller| code(caller, id))
}

/// int security_perf_event_open(int type)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_perf_event_open")]
extern "C" fn security_perf_event_open(_: Arguments) -> i32 {
    refusing(|caller| asked_for(caller, KernelObject::PerfEvent, 0, -1))
}

/// int security_uring_override_creds(const struct cred *new)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_uring_override_creds")]
extern "C" fn security_uring_override_creds(_: Arguments) -> i32 {
    refusing(|caller| asked_for(caller, KernelObject::IoUringCredentials, 0, -1))
}

/// int security_uring_allowed(void)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_uring_allowed")]
extern "C" fn security_uring_allowed(_: Arguments) -> i32 {
    refusing(|caller| ring(caller, 0, -1))
}

/// Arguments differ between versions and are not needed.
#[raw_tracepoint(tracepoint = "io_uring_create")]
pub(crate) fn io_uring_create(_: RawTracePointContext) -> i32 {
    killing(|caller| ring(caller, 0, -1))
}

/// A new io_uring.
#[inline(always)]
pub(crate) fn ring(caller: &Caller, detail: u64, syscall: i32) -> Option<Answer> {
    // SAFETY: a read-only global that the loader sets before the object is loaded.
    let object = unsafe { core::ptr::read_volatile(&raw const RING_OBJECT) };
    asked_for(caller, KernelObject::from_raw(object as u8)?, detail, syscall)
}

#[inline(always)]
fn code(caller: &Caller, id: u32) -> Option<Answer> {
    if !(FIRST_CODE..=LAST_CODE).contains(&id) {
        return None;
    }
    asked_for(caller, KernelObject::KernelModule, u64::from(id), -1)
}

/// Machinery of the kernel is asked for; `detail` says more, such as the bpf command.
#[inline(always)]
pub(crate) fn asked_for(caller: &Caller, object: KernelObject, detail: u64, syscall: i32) -> Option<Answer> {
    caller.judge_object(Action::Load, object, About { syscall, ..About::new(Subject::Kernel, detail) })
}
