// Talks to a service of this machine that the install has not started.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const http = require("node:http");

const request = http.request(process.env.VARIANT, { method: "POST" });
request.on("response", (response) => response.resume());
request.end("open up");
