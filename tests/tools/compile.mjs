// Compiles Token.sol with solc from npm into out/Token.json (abi and bytecode).
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const read = (path) => {
  try {
    return { contents: readFileSync(path.startsWith("@") ? `node_modules/${path}` : path, "utf8") };
  } catch (error) {
    return { error: String(error) };
  }
};
const input = {
  language: "Solidity",
  sources: { "Token.sol": { content: readFileSync("Token.sol", "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
const errors = (output.errors ?? []).filter((e) => e.severity === "error");
if (errors.length) throw new Error(errors.map((e) => e.formattedMessage).join("\n"));
const { abi, evm } = output.contracts["Token.sol"].Token;
mkdirSync("out", { recursive: true });
writeFileSync("out/Token.json", JSON.stringify({ abi, bytecode: `0x${evm.bytecode.object}` }));
