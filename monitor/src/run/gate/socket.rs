//! Unix sockets: who may be connected. The kernel side can only kill once the connection stands.

use super::caller;
use super::path::{self, Owner};

/// `sizeof(struct sockaddr_un)`: include/uapi/linux/un.h.
const LONGEST: u64 = 110;
/// Offset of the name in it.
const NAME: usize = 2;

/// The name that `connect(_, address, length)` asks for, as the kernel side writes it: a path where links lead, or `@`
/// and a name of the abstract namespace. `None` for any other kind of address.
pub(super) fn name(owner: Owner, address: u64, length: u64) -> Option<Vec<u8>> {
    let bytes = caller::read(owner.tid, address, length.min(LONGEST) as usize)?;
    let family = u16::from_ne_bytes(bytes.get(..NAME)?.try_into().ok()?);
    if i32::from(family) != libc::AF_UNIX {
        return None;
    }
    match bytes.get(NAME..)? {
        [] => None,
        [0, name @ ..] => Some([b"@", name].concat()),
        name => {
            let name = name.split(|byte| *byte == 0).next()?;
            let whole = path::join(&caller::directory(owner.tid, libc::AT_FDCWD)?, name);
            Some(path::resolve(&whole, true, owner).map_or_else(|| path::clean(&whole), |place| place.path))
        }
    }
}
