// Asks the registry it came from for another package, as packages with prebuilt programs do.
const fs = require("node:fs");
const https = require("node:https");

const registry = process.env.npm_config_registry ?? "";
if (!registry.startsWith("https:")) process.exit(0);
https.get(new URL("good-neighbour", registry), (response) => {
  const chunks = [];
  response.on("data", (chunk) => chunks.push(chunk));
  response.on("end", () => {
    const latest = JSON.parse(Buffer.concat(chunks))["dist-tags"].latest;
    fs.writeFileSync("fetched", latest);
  });
});
