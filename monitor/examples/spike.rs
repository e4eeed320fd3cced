use monitor::bpf::load::*;
use monitor::policy::*;
use monitor_common::policy::*;
fn main() {
    let layout = Layout {
        file_start: 0,
        exec_start: 0,
        command_start: 0,
        socket_start: 0,
        groups: 2,
        port_sets: 1,
        needs_exe: [0; 2],
        needs_script: [0; 2],
        kernel_objects: [0; 32],
        classes: [0; 256],
    };
    let policy = Policy {
        layout,
        words: vec![0; 300],
        exec_classes: vec![ExecClass::default()],
        identities: vec![],
        actors: vec![Actor::default(); 4],
        cells: vec![0; 4096],
        outcomes: vec![Default::default()],
        networks: vec![],
        ports: vec![0; 65536],
        net_groups: vec![0; 4],
        names: Names::default(),
    };
    let t = std::time::Instant::now();
    match Kernel::load(&policy, Settings { mode: monitor_common::verdict::Mode::Block }) {
        Ok(_) => println!("loaded in {:?}", t.elapsed()),
        Err(e) => {
            let mut e: &dyn std::error::Error = &e;
            loop {
                println!("{e}");
                match e.source() {
                    Some(s) => e = s,
                    None => break,
                }
            }
        }
    }
}
