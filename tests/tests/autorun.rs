//! Packages that leave something behind that runs later: E14 to E17.

use pkgwarden_tests::{Harm, Scenario, World, emulate};

/// E14: the shell's start file.
mod shell {
    use super::*;

    fn scenario(variant: &'static str) -> Scenario {
        let scenario = Scenario::npm("evil-shellrc").env("VARIANT", variant);
        scenario.harm(Harm::Changed(".bashrc")).rule("PW-AUTO-").script("postinstall")
    }

    emulate! {
        /// A line at its end.
        append => scenario("append");

        /// Another file under its name.
        rename_over => scenario("rename");

        /// Itself under another name.
        hard_link => scenario("hardlink");
    }
}

emulate! {
    /// E15: a service of the user.
    user_service => Scenario::npm("evil-unit")
        .prepare(|world| fake(world, "systemctl"))
        .harm(Harm::Changed(".config/systemd/user/updater.service"))
        .harm(Harm::Marker)
        .rule("PW-AUTO-")
        .later_rule("PW-EXEC-040")
        .script("postinstall");

    /// E17: a key for ssh, and a hole in the wall.
    ssh_key => Scenario::npm("evil-keys")
        .prepare(|world| fake(world, "ufw"))
        .harm(Harm::Changed(".ssh/authorized_keys"))
        .harm(Harm::Marker)
        .rule("PW-AUTO-")
        .later_rule("PW-EXEC-050")
        .script("postinstall");
}

/// E16: orders for assistants and editors.
mod hooks {
    use super::*;

    fn scenario(variant: &'static str, file: &'static str) -> Scenario {
        let scenario = Scenario::npm("evil-hooks").env("VARIANT", variant);
        scenario.harm(Harm::Changed(file)).rule("PW-AUTO-").script("postinstall")
    }

    emulate! {
        project_claude => scenario("claude", "project/.claude/settings.json");
        project_vscode => scenario("vscode", "project/.vscode/tasks.json");
        project_cursor => scenario("cursor", "project/.cursor/rules/x.mdc");
        home_claude => scenario("home", ".claude/settings.json");
    }
}

/// A program that only notes that it ran.
fn fake(world: &mut World, name: &str) {
    world.fake(name, "#!/bin/sh\necho \"$@\" > \"$HOME/harm\"\n");
}
