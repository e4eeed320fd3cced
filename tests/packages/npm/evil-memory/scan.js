// E8: looks for the process that runs a build and reads secrets out of its memory.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const { execFileSync } = require("node:child_process");

execFileSync("./deed", [process.env.VARIANT, "Runner.Worker"], { stdio: "inherit" });
