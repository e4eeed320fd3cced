//! The `kill` tier's way to calls that are judged on their registers alone: reads them as the table of calls says, and
//! hands over to the file of their subject.
//!
//! When the call is entered: registers cannot be changed by another thread, and nothing has happened yet.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::call::Register;
use monitor_common::event::Subject;
use monitor_common::object::KernelObject;

use crate::engine::caller::{About, Answer, Caller, killing};
use crate::exec::check;
use crate::kernel::registers::Registers;
use crate::kernel::task::Task;
use crate::kernel::{offset, read};
use crate::{change, load, memory, mount, socket, syscall};

// include/uapi/linux/ptrace.h: the two requests that begin a trace of another process.
const PTRACE_ATTACH: u64 = 16;
const PTRACE_SEIZE: u64 = 0x4206;

/// include/uapi/linux/resource.h.
const PRIO_PROCESS: u32 = 0;

#[raw_tracepoint(tracepoint = "sys_enter")]
pub(crate) fn facility_enter(ctx: RawTracePointContext) -> i32 {
    let registers = Registers(ctx.arg(0));
    let number = ctx.arg::<u64>(1) as i32;
    killing(|caller| entered(caller, registers, number))
}

#[inline(always)]
fn entered(caller: &Caller, registers: Registers, number: i32) -> Option<Answer> {
    let call = syscall::call(number as u32)?;
    let first = registers.argument(0);
    let object = KernelObject::from_raw(call.object);
    match Register::from_raw(call.register)? {
        Register::None => None,
        Register::Socket => {
            let (kind, protocol) = (registers.argument(1) as u32, registers.argument(2) as u32);
            socket::made(caller, first as u32, kind, protocol, number)
        }
        Register::Listen => {
            let file = Task::current().file(first as u32)?;
            socket::listens(caller, read::field(file, &offset::FILE_PRIVATE)?)
        }
        Register::Ptrace => {
            if first != PTRACE_ATTACH && first != PTRACE_SEIZE {
                return None;
            }
            memory::reached(caller, registers.argument(1) as u32, KernelObject::ForeignMemory, number)
        }
        Register::Process => memory::reached(caller, first as u32, KernelObject::ForeignMemory, number),
        Register::Descriptor => {
            let about = About { syscall: number, ..About::new(Subject::Process, first) };
            caller.judge_object(Action::Attach, KernelObject::ForeignProcess, about)
        }
        Register::Limits => memory::of_agent(caller, first as u32, number),
        Register::Priority => {
            if first as u32 != PRIO_PROCESS {
                return None;
            }
            memory::of_agent(caller, registers.argument(1) as u32, number)
        }
        Register::Namespaces => mount::user_namespace(caller, first, number),
        Register::NamespacesBehind => mount::user_namespace(caller, read::user(first)?, number),
        Register::Ring => load::ring(caller, first, number),
        Register::Map => {
            if registers.argument(2) & check::PROT_EXEC == 0 {
                return None;
            }
            check::mapped(caller, Task::current().file(registers.argument(4) as u32)?)
        }
        Register::File => change::entry::behind(caller, Task::current().file(first as u32)?, number),
        Register::Whole => match object? {
            KernelObject::Mount => mount::mounted(caller, first, number),
            object => load::asked_for(caller, object, first, number),
        },
    }
}
