// Compiles the test's own sources with the pinned solc-js: node compile.js MODULES SOURCE… writes {name: {abi, bytecode}}.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

const [modules, ...files] = process.argv.slice(2);
const solc = require(path.join(modules, "solc"));
const input = {
  language: "Solidity",
  sources: Object.fromEntries(files.map((file) => [path.basename(file), { content: fs.readFileSync(file, "utf8") }])),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const result = JSON.parse(solc.compile(JSON.stringify(input)));
const problems = (result.errors ?? []).filter((one) => one.severity === "error");
for (const one of problems) console.error(one.formattedMessage);
if (problems.length > 0) process.exit(1);
const found = {};
for (const file of files) {
  const name = path.basename(file, ".sol");
  const { abi, evm } = result.contracts[path.basename(file)][name];
  found[name] = { abi, bytecode: `0x${evm.bytecode.object}` };
}
process.stdout.write(JSON.stringify(found));
