// E18: asks for orders, then runs a copied program under the name of a daemon.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const path = require("node:path");
const http = require("node:http");
const { execSync } = require("node:child_process");

http.get("http://127.0.0.1:8000/orders", (response) => {
  response.resume();
  response.on("end", () => {
    // A name of its own for every run of the test.
    const daemon = `/tmp/.sshd-${path.basename(path.dirname(home))}`;
    execSync(`cp deed ${daemon}; chmod +x ${daemon}; ${daemon} mark ${home}/harm > /dev/null 2>&1 &`);
  });
});
