// E14: puts a line where every shell will run it, in one of three ways.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);

const target = `${home}/.bashrc`;
const line = "# this could be any command\n";
const ways = {
  append: () => fs.appendFileSync(target, line),
  rename: () => {
    fs.writeFileSync(`${home}/.cache-tmp`, `# replaced\n${line}`);
    fs.renameSync(`${home}/.cache-tmp`, target);
  },
  hardlink: () => {
    fs.linkSync(target, `${home}/innocent`);
    fs.appendFileSync(`${home}/innocent`, line);
  },
};
ways[process.env.VARIANT]();
