// What a package from a repository does before it is packed.
require("node:fs").writeFileSync("made.js", "module.exports = 1;\n");
