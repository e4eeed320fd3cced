// Asks the registry it came from for another package, as packages with prebuilt programs do.
const fs = require("node:fs");
const https = require("node:https");

// npm says where it got the package from; the registry itself it names only where somebody has configured one.
const origin = process.env.npm_package_resolved ?? "";
if (!origin.startsWith("https:")) process.exit(0);
https.get(new URL("/good-neighbour", origin), (response) => {
  const chunks = [];
  response.on("data", (chunk) => chunks.push(chunk));
  response.on("end", () => {
    const latest = JSON.parse(Buffer.concat(chunks))["dist-tags"].latest;
    fs.writeFileSync("fetched", latest);
  });
});
