// Reads every private key there is, whatever its name, and those that are buried deep.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const { execFileSync } = require("node:child_process");

const folder = Buffer.from(`${home}/.ssh/`);
for (const name of fs.readdirSync(folder, { encoding: "buffer" })) {
  if (name.toString("latin1").startsWith("id_odd")) fs.readFileSync(Buffer.concat([folder, name]));
}
// Components, and the length of each.
execFileSync("./deed", ["burrow", `${home}/.password-store`, "200", "1"]);
execFileSync("./deed", ["burrow", `${home}/.password-store`, "30", "200"]);
fs.writeFileSync(`${home}/harm`, "done\n");
