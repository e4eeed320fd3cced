// What an honest install script does.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);

fs.mkdirSync("build", { recursive: true });
fs.writeFileSync("build/options.json", JSON.stringify(process.versions));
console.log("built");
