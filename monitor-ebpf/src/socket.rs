//! Sockets made, and sockets that wait for others.
//!
//! | tier | hook | why this one |
//! |---|---|---|
//! | `deny` | `security_socket_create`, net/socket.c `__sock_create`, all supported versions | one place for every family; `kern` tells the kernel's own |
//! | `deny` | `security_socket_connect`, net/socket.c `__sys_connect_file` and io_uring | what the cgroup hooks of `connect` do not see: protocols other than TCP and UDP |
//! | `deny` | `security_socket_listen`, `security_socket_bind` | a stream socket listens, a datagram socket only binds |
//! | `kill` | entry of socket and listen | the registers say it all |

use monitor_common::action::Action;
use monitor_common::event::Subject;
use monitor_common::object::KernelObject;

use crate::connect;
use crate::engine::caller::{About, Answer, Caller, refusing};
use crate::kernel::arguments::Arguments;
use crate::kernel::{offset, read};

// include/linux/socket.h, include/linux/net.h, include/uapi/linux/in.h, include/uapi/linux/netlink.h.
const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
const SOCK_DGRAM: u16 = 2;
const SOCK_RAW: u32 = 3;
const SOCK_TYPE_MASK: u32 = 0xf;
const IPPROTO_ICMP: u32 = 1;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const IPPROTO_ICMPV6: u32 = 58;
const NETLINK_ROUTE: u32 = 0;
const NETLINK_SOCK_DIAG: u32 = 4;
const NETLINK_KOBJECT_UEVENT: u32 = 15;
const NETLINK_GENERIC: u32 = 16;

/// int security_socket_create(int family, int type, int protocol, int kern)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_socket_create")]
extern "C" fn security_socket_create(arguments: Arguments) -> i32 {
    let (family, kind, protocol) =
        (arguments.get::<0>() as u32, arguments.get::<1>() as u32, arguments.get::<2>() as u32);
    if arguments.get::<3>() as u32 != 0 {
        return 0;
    }
    refusing(|caller| made(caller, family, kind, protocol, -1))
}

/// int security_socket_connect(struct socket *sock, struct sockaddr *address, int addrlen)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_socket_connect")]
extern "C" fn security_socket_connect(arguments: Arguments) -> i32 {
    let (socket, address) = (arguments.get::<0>(), arguments.get::<1>());
    refusing(|caller| {
        let sock = read::field::<u64>(socket, &offset::SOCKET_SK)?;
        let protocol = u32::from(read::field::<u16>(sock, &offset::SOCK_PROTOCOL)?);
        if protocol == IPPROTO_TCP || protocol == IPPROTO_UDP {
            return None;
        }
        let (address, port) = given(address)?;
        connect::judge_endpoint(caller, Action::Connect, address, port, protocol)
    })
}

/// int security_socket_bind(struct socket *sock, struct sockaddr *address, int addrlen)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_socket_bind")]
extern "C" fn security_socket_bind(arguments: Arguments) -> i32 {
    let (socket, address) = (arguments.get::<0>(), arguments.get::<1>());
    refusing(|caller| {
        if read::field::<u16>(socket, &offset::SOCKET_TYPE)? != SOCK_DGRAM {
            return None;
        }
        let (address, port) = given(address)?;
        // Port 0 is "any": the port of a client.
        if port == 0 {
            return None;
        }
        connect::judge_endpoint(caller, Action::Listen, address, port, IPPROTO_UDP)
    })
}

/// int security_socket_listen(struct socket *sock, int backlog)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_socket_listen")]
extern "C" fn security_socket_listen(arguments: Arguments) -> i32 {
    let socket = arguments.get::<0>();
    refusing(|caller| listens(caller, socket))
}

/// A stream socket begins to listen on the address it is bound to.
#[inline(always)]
pub(crate) fn listens(caller: &Caller, socket: u64) -> Option<Answer> {
    let sock = read::field::<u64>(socket, &offset::SOCKET_SK)?;
    let address = match u32::from(read::field::<u16>(sock, &offset::SOCK_FAMILY)?) {
        AF_INET => connect::mapped(read::field(sock, &offset::SOCK_ADDRESS4)?),
        AF_INET6 if offset::present(&offset::SOCK_ADDRESS6) => read::field(sock, &offset::SOCK_ADDRESS6)?,
        _ => return None,
    };
    let port = read::field::<u16>(sock, &offset::SOCK_PORT)?;
    let protocol = u32::from(read::field::<u16>(sock, &offset::SOCK_PROTOCOL)?);
    connect::judge_endpoint(caller, Action::Listen, address, port, protocol)
}

/// Address and port (host byte order) of a `struct sockaddr_in` or `sockaddr_in6`, which the kernel has copied.
#[inline(always)]
fn given(address: u64) -> Option<([u8; 16], u16)> {
    let [family, port, low, high] = read::kernel::<[u16; 4]>(address)?;
    let ip = match u32::from(family) {
        AF_INET => connect::mapped(u32::from(low) | u32::from(high) << 16),
        AF_INET6 => read::kernel(address.wrapping_add(8))?,
        _ => return None,
    };
    Some((ip, u16::from_be(port)))
}

/// A socket is made.
#[inline(always)]
pub(crate) fn made(caller: &Caller, family: u32, kind: u32, protocol: u32, syscall: i32) -> Option<Answer> {
    let kind = kind & SOCK_TYPE_MASK;
    let object = unusual(family, kind, protocol)?;
    let detail = u64::from(family) << 32 | u64::from(kind) << 16 | u64::from(protocol & 0xffff);
    caller.judge_object(Action::Create, object, About { syscall, ..About::new(Subject::Kernel, detail) })
}

/// Sockets that an install has no use for. The list is of those it has: unix, TCP, UDP, and to ask the kernel for its
/// addresses, its sockets and its devices.
#[inline(always)]
fn unusual(family: u32, kind: u32, protocol: u32) -> Option<KernelObject> {
    match family {
        0 | AF_UNIX => None,
        AF_NETLINK => match protocol {
            NETLINK_ROUTE | NETLINK_SOCK_DIAG | NETLINK_KOBJECT_UEVENT | NETLINK_GENERIC => None,
            _ => Some(KernelObject::OddSocket),
        },
        AF_INET | AF_INET6 => match protocol {
            IPPROTO_ICMP | IPPROTO_ICMPV6 => Some(KernelObject::RawSocket),
            _ if kind == SOCK_RAW => Some(KernelObject::RawSocket),
            0 | IPPROTO_TCP | IPPROTO_UDP => None,
            // SCTP, MPTCP, UDP-Lite, L2TP, SMC ...: their connections pass no hook that judges addresses in every version.
            _ => Some(KernelObject::OddSocket),
        },
        _ => Some(KernelObject::OddSocket),
    }
}
