//! Packages that look into other processes: E8 and E9.

use pkgwarden_tests::{Harm, Scenario, World, emulate};

emulate! {
    /// The file that shows a process's memory.
    proc_mem => worker("mem");

    /// The call that copies from it.
    process_vm_readv => worker("vm-readv");

    /// The debugger's way.
    ptrace => worker("ptrace");

    /// E9: the environments of other processes.
    environ_sweep => Scenario::npm("evil-environ")
        .prepare(services)
        .harm(Harm::Leak)
        .rule("PW-KERN-011")
        .script("postinstall");
}

/// E8: a process named like the one that runs builds keeps a token in memory.
fn worker(variant: &'static str) -> Scenario {
    let worker = |world: &mut World| world.bystander("Runner.Worker", None);
    let scenario = Scenario::npm("evil-memory").env("VARIANT", variant).prepare(worker);
    scenario.harm(Harm::Leak).rule("PW-KERN-01").script("postinstall")
}

/// Three processes with a token in the environment.
fn services(world: &mut World) {
    for _ in 0..3 {
        world.bystander("decoy-service", Some("SERVICE_TOKEN"));
    }
}
