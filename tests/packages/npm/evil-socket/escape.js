// E24: talks to a service that can do more than we may.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const http = require("node:http");

const [folder] = fs.readFileSync(`${home}/sockets`, "utf8").split("\n");
const request = http.request({ socketPath: `${folder}/${process.env.VARIANT}`, path: "/containers/json", timeout: 3000 });
request.on("response", (response) => response.resume());
request.end();
