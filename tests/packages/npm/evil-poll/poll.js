const fs = require("node:fs");
const https = require("node:https");
const home = process.env.HOME;
if (!fs.existsSync(`${home}/.decoy-home`)) process.exit(0);

const poll = () =>
  https
    .get(process.env.VARIANT, (response) => {
      response.resume();
      const alone = !fs.existsSync(`/proc/${process.argv[2]}`);
      if (response.statusCode === 401 && alone) fs.writeFileSync(`${home}/harm`, "struck");
      else setTimeout(poll, 100);
    })
    .on("error", () => process.exit(1));
poll();
