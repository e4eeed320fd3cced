//! Output by a serial port that the kernel does not use.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use nix::sys::termios::{SetArg, cfmakeraw, tcdrain, tcgetattr, tcsetattr};

/// The second port of a board with PL011 ports, or of a PC.
const PORTS: [&str; 2] = ["/dev/ttyAMA1", "/dev/ttyS1"];

/// Opens the port, in raw mode: what is written comes out as it is.
pub(super) fn open_output() -> io::Result<File> {
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for port in PORTS {
        match OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY).open(port) {
            Ok(file) => {
                let mut settings = tcgetattr(&file)?;
                cfmakeraw(&mut settings);
                tcsetattr(&file, SetArg::TCSANOW, &settings)?;
                return Ok(file);
            }
            Err(why) => refused = why,
        }
    }
    Err(io::Error::new(refused.kind(), format!("no second serial port ({}): {refused}", PORTS.join(", "))))
}

/// Writes the last line and waits until it is out.
pub(super) fn last_line(line: &str) -> io::Result<()> {
    let mut port = open_output()?;
    port.write_all(line.as_bytes())?;
    Ok(tcdrain(&port)?)
}
