// Speaks as a compiler does, with the solc of the project's lock file inside: forge asks it for `--version` and then gives it
// one job on standard input. SUBLET_NODE_MODULES names the folder of that solc.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

const solc = require(path.resolve(process.env.SUBLET_NODE_MODULES, "solc"));
if (process.argv.includes("--version")) console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
else process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
