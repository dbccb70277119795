// Compiles one contract for tests/contracts/mutate.py: mutate.js MODULES CONTRACT < {file: source}, prints {abi, bytecode}.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

const [modules, contract] = process.argv.slice(2);
const solc = require(path.join(modules, "solc"));
const sources = JSON.parse(fs.readFileSync(0, "utf8"));
const input = {
  language: "Solidity",
  sources: Object.fromEntries(Object.entries(sources).map(([name, content]) => [`src/${name}`, { content }])),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { [`src/${contract}.sol`]: { [contract]: ["abi", "evm.bytecode.object"] } },
  },
};
const findImport = (name) => ({ contents: fs.readFileSync(path.join(modules, name), "utf8") });
const result = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
const wrong = (result.errors ?? []).filter((one) => one.severity === "error");
for (const one of wrong) console.error(one.formattedMessage);
if (wrong.length > 0) process.exit(1);
const { abi, evm } = result.contracts[`src/${contract}.sol`][contract];
console.log(JSON.stringify({ abi, bytecode: `0x${evm.bytecode.object}` }));
