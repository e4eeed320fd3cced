// E10: asks the cloud's metadata service for a token, at the address and in the way it is told.
const fs = require("node:fs");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);
const http = require("node:http");
const dgram = require("node:dgram");

const [way, host] = process.env.VARIANT.split(" ");
if (way === "tcp") {
  const request = http.request({ host, port: 80, method: "PUT", path: "/latest/api/token", timeout: 3000 });
  request.on("response", (response) => response.resume());
  request.end();
} else {
  const socket = dgram.createSocket(way);
  socket.send("token", 80, host, (error) => {
    socket.close();
    if (error) throw error;
  });
}
