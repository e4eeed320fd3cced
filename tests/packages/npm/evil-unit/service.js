// E15: makes itself a service of the user.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const { execFileSync } = require("node:child_process");

const units = `${home}/.config/systemd/user`;
fs.writeFileSync(`${units}/updater.service`, "[Service]\nExecStart=/bin/true\n");
fs.mkdirSync(`${units}/default.target.wants`, { recursive: true });
fs.symlinkSync(`${units}/updater.service`, `${units}/default.target.wants/updater.service`);
execFileSync("systemctl", ["--user", "enable", "updater.service"]);
