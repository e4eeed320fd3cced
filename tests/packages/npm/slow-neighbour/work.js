// A long install: some helpers, one of them detached, and no end.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const { spawn } = require("node:child_process");

const wait = ["-e", "setInterval(() => {}, 1000)"];
spawn(process.execPath, wait, { stdio: "ignore" });
const helper = spawn(process.execPath, wait, { stdio: "ignore", detached: true });
helper.once("spawn", () => fs.writeFileSync(`${home}/harm`, "working\n"));
