// Not an attack worth stopping: a process looks at its own environment.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);

fs.readFileSync("/proc/self/environ");
fs.writeFileSync(`${home}/harm`, "done\n");
