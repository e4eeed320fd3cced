//! What some deeds need beside a home.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use crate::deeds::{cgroup_root, create_map, get_map, id_of_map, pin_map, set_map};
use crate::kernel::checked;
use crate::stage::{INHERITED, Map, SETTING, SETUID, TRACE};

/// The usual value of the setting.
const USUAL: &str = "64";
/// Where a map is pinned.
const PINS: &str = "/sys/fs/bpf/pkgwarden-tests";

/// Things of one scene; they go with it.
#[derive(Debug)]
pub(super) struct Props {
    pub(super) disk: Option<Disk>,
    pub(super) map: Option<(OwnedFd, Map, Vec<u8>)>,
    pub(super) trace: Option<PathBuf>,
    /// Open as long as the command starts.
    pub(super) inherited: Option<OwnedFd>,
    token: String,
}

impl Props {
    /// None yet; the token names what is shared with others.
    pub(super) fn new(token: &str) -> Self {
        Self { disk: None, map: None, trace: None, inherited: None, token: token.to_owned() }
    }

    pub(super) fn add_map(&mut self, secret: &str) -> std::io::Result<Map> {
        let length = secret.len();
        let mut value = secret.as_bytes().to_vec();
        value.resize(length.next_multiple_of(8), 0);
        let fd = create_map(value.len() as u32)?;
        set_map(&fd, &value)?;
        let path = Path::new(PINS).join(&self.token);
        let pin = fs::create_dir_all(PINS).and_then(|()| pin_map(&fd, &path)).ok().map(|()| path);
        let map = Map { id: id_of_map(&fd)?, pin, length };
        self.map = Some((fd, map.clone(), value));
        Ok(map)
    }

    pub(super) fn add_trace(&mut self) {
        let folder = Path::new(TRACE).join(&self.token);
        // Without tracing files the deed will say that it is impossible.
        self.trace = fs::create_dir(&folder).ok().map(|()| folder);
    }

    /// Opens the secret under the number that the deed knows. It is inherited by whatever is started then.
    pub(super) fn add_inherited(&mut self, secret: &Path) -> std::io::Result<()> {
        let file = File::open(secret)?;
        // SAFETY: the number is nobody's: the suite has few descriptors.
        let fd = checked(unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), INHERITED) })?;
        self.inherited = Some(crate::kernel::owned(fd)?);
        Ok(())
    }

    /// Whether somebody changed the map's value, or its name.
    pub(super) fn map_harm(&self) -> Option<String> {
        let (fd, map, value) = self.map.as_ref()?;
        if map.pin.as_ref().is_some_and(|pin| !pin.exists()) {
            return Some("the map is not pinned any more".into());
        }
        let now = get_map(fd, value.len()).ok()?;
        (now != *value).then(|| "the map has another value".into())
    }

    /// Whether somebody switched a tracepoint on.
    pub(super) fn trace_harm(&self) -> Option<String> {
        let state = fs::read_to_string(self.trace.as_ref()?.join("events/signal/enable")).ok()?;
        (state.trim() == "1").then(|| "tracepoints are on".into())
    }
}

/// Puts a set-uid program beside a home, and a directory that only root may enter.
pub(super) fn add_setuid(program: &Path, aside: &Path) -> std::io::Result<()> {
    let (path, closed) = (aside.join(SETUID), aside.join("only-root"));
    fs::copy(program, &path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o4755))?;
    fs::create_dir(&closed)?;
    fs::set_permissions(closed, fs::Permissions::from_mode(0o700))
}

/// Whether somebody changed the kernel setting; puts it right again.
pub(super) fn setting_harm() -> Option<String> {
    let value = fs::read_to_string(SETTING).ok()?;
    if value.trim() == USUAL {
        return None;
    }
    fs::write(SETTING, USUAL).ok()?;
    Some(format!("{SETTING} was {}", value.trim()))
}

impl Drop for Props {
    fn drop(&mut self) {
        // Each may be gone, or never have been there.
        if let Some(pin) = self.map.as_ref().and_then(|(_, map, _)| map.pin.as_ref()) {
            fs::remove_file(pin).ok();
            fs::remove_file(pin.with_file_name("other")).ok();
        }
        if let Some(folder) = &self.trace {
            fs::remove_dir(folder).ok();
        }
        if let Ok(root) = cgroup_root() {
            fs::remove_dir(root.join(format!("deed-{}", self.token))).ok();
        }
    }
}
