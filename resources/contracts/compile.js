// Compiles src/*.sol to compiled/<Name>.json: {abi, bytecode, runtime, immutables, storageLayout}. For developers; the app
// reads only the result. `runtime` is the code that creation leaves on the chain, but for its immutables, which are zero
// in it; `immutables` says where they are: [first byte, how many], in order.
//   npm install --no-save --ignore-scripts && node compile.js [--out FOLDER] [--modules FOLDER]
// The test tests/contracts/test_compiled.py runs it and compares the result byte for byte with what is committed.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

function option(name, fallback) {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : path.resolve(process.argv[at + 1]);
}

const source = path.join(__dirname, "src");
const out = option("--out", path.join(__dirname, "compiled"));
const modules = option("--modules", path.join(__dirname, "node_modules"));
const solc = require(path.join(modules, "solc"));

// line ends are made equal so that a checkout on Windows compiles to the same bytes
const read = (file) => fs.readFileSync(file, "utf8").replaceAll("\r\n", "\n");
const names = fs.readdirSync(source).filter((name) => name.endsWith(".sol")).sort();

const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((name) => [`src/${name}`, { content: read(path.join(source, name)) }])),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    // no hash of the sources in the code, so that a changed comment does not change the bytecode
    metadata: { bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode", "storageLayout"] } },
  },
};

const findImport = (name) => ({ contents: read(path.join(modules, name)) });
const result = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
// a warning in our own sources stops the build; OpenZeppelin's (one, on transient storage) is theirs to weigh
const ours = (one) => !(one.sourceLocation?.file ?? "").startsWith("@");
const problems = (result.errors ?? []).filter((one) => one.severity === "error" || (one.severity !== "info" && ours(one)));
for (const one of problems) console.error(one.formattedMessage);
if (problems.length > 0) process.exit(1);

// numbers that the compiler counts over the whole source tree say nothing about the layout, so they are left out
const layout = (found) =>
  JSON.parse(
    JSON.stringify(found, (key, value) => (key === "astId" ? undefined : value)).replaceAll(/\)\d+(?=_storage)/g, ")"),
  );

fs.mkdirSync(out, { recursive: true });
for (const name of names) {
  const contract = path.basename(name, ".sol");
  const { abi, evm, storageLayout } = result.contracts[`src/${name}`][contract];
  if (evm.bytecode.object === "" || abi.length === 0) continue; // an interface, a part, or a library of functions for inside
  const { object: runtime, immutableReferences } = evm.deployedBytecode;
  const immutables = Object.values(immutableReferences)
    .flat()
    .map(({ start, length }) => [start, length])
    .sort(([one], [other]) => one - other);
  const found = {
    abi,
    bytecode: `0x${evm.bytecode.object}`,
    runtime: `0x${runtime}`,
    immutables,
    storageLayout: layout(storageLayout),
  };
  fs.writeFileSync(path.join(out, `${contract}.json`), JSON.stringify(found, null, 1) + "\n");
}
