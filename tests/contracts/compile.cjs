// Compiles the contracts beside it into NAME.hex (runtime code). Needs solc 0.8.30 from npm:
//   npm install --prefix DIR solc@0.8.30 && NODE_PATH=DIR/node_modules node compile.cjs
const { readFileSync, writeFileSync } = require("fs");
const { join } = require("path");
const solc = require("solc");

const names = ["Lists", "Dealer"];
const sources = names.map((name) => [`${name}.sol`, { content: readFileSync(join(__dirname, `${name}.sol`), "utf8") }]);
const input = {
  language: "Solidity",
  sources: Object.fromEntries(sources),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["evm.deployedBytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
for (const name of names) {
  const { object } = output.contracts[`${name}.sol`][name].evm.deployedBytecode;
  writeFileSync(join(__dirname, `${name}.hex`), `${object}\n`);
}
