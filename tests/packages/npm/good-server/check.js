// Starts a server on loopback and asks it something, as tests of native code do.
const fs = require("node:fs");
const http = require("node:http");

const server = http.createServer((_, response) => response.end("fine"));
server.listen(0, "127.0.0.1", () => {
  http.get({ host: "127.0.0.1", port: server.address().port }, (response) => {
    response.on("data", (data) => fs.writeFileSync("checked", data)).on("end", () => server.close());
  });
});
