// Compiles src/ and writes artifacts/NAME.json; with --check compares instead and writes nothing.
// Needs solc 0.8.30 from npm: NODE_PATH=DIR/node_modules node compile.cjs [--check]
const { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } = require("node:fs");
const { join, relative } = require("node:path");
const solc = require("solc");

const SOLC = "0.8.30";
const CODE_SIZE_LIMIT = 24576;
// The rule contracts take their calls apart by hand, so their ABI is that of an interface.
const CONTRACTS = {
  NodeRules: { address: "0x0000000000000000000000000000000000009999", abi: "interfaces/IRules.sol:INodeRules" },
  AccountRules: { address: "0x0000000000000000000000000000000000008888", abi: "interfaces/IRules.sol:IAccountRules" },
  Registry: { address: "0x0000000000000000000000000000000000007001" },
  Governance: { address: "0x0000000000000000000000000000000000007002" },
  Validators: { address: "0x0000000000000000000000000000000000007003" },
  Quotas: { address: "0x0000000000000000000000000000000000007004" },
  Supervision: { address: "0x0000000000000000000000000000000000007005" },
  Policy: { address: "0x0000000000000000000000000000000000007006" },
  Evidence: { address: "0x0000000000000000000000000000000000007007" },
  Parties: { address: "0x0000000000000000000000000000000000007008" },
};

// Deployed by transactions, on networks of any age: it has no address, and its creation code is kept too.
const DEPLOYED = { Extension: { evmVersion: "byzantium" } };
const EVM_VERSION = "cancun";

const root = join(__dirname, "src");
const target = join(__dirname, "artifacts");
const check = process.argv.includes("--check");

function sources(directory = root) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return sources(path);
    return entry.name.endsWith(".sol") ? [[relative(root, path), { content: readFileSync(path, "utf8") }]] : [];
  });
}

function compile(evmVersion, wanted) {
  if (!solc.version().startsWith(`${SOLC}+`)) throw new Error(`solc ${SOLC} is needed, not ${solc.version()}`);
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(sources().sort(([a], [b]) => (a < b ? -1 : 1))),
    settings: {
      evmVersion,
      optimizer: { enabled: true, runs: 200 },
      metadata: { bytecodeHash: "none", appendCBOR: false },
      outputSelection: { [wanted]: { "*": ["abi", "evm.bytecode", "evm.deployedBytecode", "storageLayout"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  // That an old version is wanted is no problem of the sources.
  const aboutVersion = ({ message }) => message.startsWith("Support for EVM versions older than");
  const problems = (output.errors ?? []).filter((problem) => !aboutVersion(problem));
  problems.forEach((problem) => console.error(problem.formattedMessage));
  if (problems.length) throw new Error("the sources do not compile cleanly");
  return output.contracts;
}

// Names of types in the layout carry numbers of the compiler's syntax tree, which any edit moves.
function layoutOf(contract) {
  const stable = (name) => name.replace(/\)\d+_/g, ")_");
  const place = ({ label, slot, offset, type }) => ({ label, slot, offset, type: stable(type) });
  const types = Object.entries(contract.storageLayout.types ?? {}).map(([name, type]) => {
    const named = Object.fromEntries(Object.entries(type).map(([k, v]) => [k, typeof v === "string" ? stable(v) : v]));
    return [stable(name), type.members ? { ...named, members: type.members.map(place) } : named];
  });
  return { storage: contract.storageLayout.storage.map(place), types: Object.fromEntries(types) };
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

function artifact(name, { address, abi, evmVersion }, contracts) {
  const contract = contracts[`${name}.sol`][name];
  const { object, immutableReferences, linkReferences } = contract.evm.deployedBytecode;
  if (Object.keys(immutableReferences ?? {}).length || Object.keys(linkReferences ?? {}).length) {
    throw new Error(`${name} has immutables or links; its code could not stand in a genesis`);
  }
  const size = object.length / 2;
  if (size > CODE_SIZE_LIMIT) throw new Error(`${name} has ${size} bytes, more than ${CODE_SIZE_LIMIT}`);
  if (!check) console.log(`${name.padEnd(13)} ${size} bytes`);
  const [file, interfaceName] = abi ? abi.split(":") : [`${name}.sol`, name];
  const order = (entry) => `${entry.type} ${entry.name ?? ""} ${JSON.stringify(entry.inputs ?? [])}`;
  return {
    contract: name,
    solc: SOLC,
    ...(address ? { address } : { evmVersion }),
    abi: contracts[file][interfaceName].abi.map(sorted).sort((a, b) => (order(a) < order(b) ? -1 : 1)),
    ...(address ? {} : { creation: `0x${contract.evm.bytecode.object}` }),
    runtime: `0x${object}`,
    storageLayout: sorted(layoutOf(contract)),
  };
}

mkdirSync(target, { recursive: true });
const different = [];
function keep(name, place, contracts) {
  const path = join(target, `${name}.json`);
  const text = `${JSON.stringify(artifact(name, place, contracts), null, 2)}\n`;
  if (!check) writeFileSync(path, text);
  else if (!existsSync(path) || readFileSync(path, "utf8") !== text) different.push(relative(__dirname, path));
}
const contracts = compile(EVM_VERSION, "*");
for (const [name, place] of Object.entries(CONTRACTS)) {
  if (contracts[`${name}.sol`]) keep(name, place, contracts);
}
for (const [name, place] of Object.entries(DEPLOYED)) {
  keep(name, place, compile(place.evmVersion, `${name}.sol`));
}
if (different.length) {
  console.error(`not what the sources compile to: ${different.join(", ")}\nrun compile.cjs without --check and commit`);
  process.exit(1);
}
if (check) console.log("the artifacts are what the sources compile to");
