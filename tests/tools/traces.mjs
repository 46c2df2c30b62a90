// Traces: the same transactions on the devnet and on another node, and both tell the same of them. The other node is anvil (ANVIL
// names it where it is not installed here), or the one at REFERENCE_URL, whose first account must have ether to give away.
import { spawn } from "node:child_process";
import { deepStrictEqual } from "node:assert";
import { IpcSocketProvider, Interface, JsonRpcProvider, Wallet, getCreateAddress, parseEther } from "ethers";
import solc from "solc";
import { check, key, receiver, within } from "./common.mjs";

const source = `
contract Child {
  uint256 public kept;
  event Kept(uint256 indexed value);
  function keep(uint256 value) external returns (uint256) { kept = value; emit Kept(value); return value + 1; }
  function refuse() external pure { revert("no"); }
  function wrong() external pure { assert(false); }
}
contract Parent {
  uint256 public first = 1;
  Child public child = new Child();
  error Custom(uint256 number);
  function all(bytes calldata data) external returns (bytes32 hash) {
    child.keep(7);
    (bool kept, ) = address(child).delegatecall(abi.encodeCall(Child.keep, (9)));
    require(kept);
    try child.refuse() {} catch {}
    try child.wrong() {} catch {}
    require(child.kept() == 7);
    hash = sha256(data);
    new Child();
    new Child{salt: hash}();
    first = 0;
    (bool enough, ) = address(child).call{gas: 1000}(abi.encodeCall(Child.keep, (8)));
    require(!enough);
    assembly { pop(staticcall(gas(), 4, 0, 64, 0, 64)) }
  }
  function fails() external { child.keep(1); revert Custom(5); }
}`;

function compiled() {
  const input = {
    language: "Solidity",
    sources: { "Traced.sol": { content: source } },
    settings: { optimizer: { enabled: true }, outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } } },
  };
  const { abi, evm } = JSON.parse(solc.compile(JSON.stringify(input))).contracts["Traced.sol"].Parent;
  return { abi: new Interface(abi), bytecode: `0x${evm.bytecode.object}` };
}

const ours = new IpcSocketProvider(process.env.LONJA_IPC);
const { chainId } = await ours.getNetwork();
const { url, stop } = process.env.REFERENCE_URL ? { url: process.env.REFERENCE_URL, stop: () => {} } : await anvil();
const theirs = new JsonRpcProvider(url);

async function anvil() {
  const port = 18545 + Math.floor(Math.random() * 1000);
  const rules = ["--chain-id", String(chainId), "--hardfork", "osaka", "--base-fee", "0", "--steps-tracing"];
  const program = process.env.ANVIL ?? "node_modules/.bin/anvil";
  const child = spawn(program, ["--port", String(port), "--silent", ...rules], { stdio: "inherit" });
  process.on("exit", () => child.kill());
  const url = `http://127.0.0.1:${port}`;
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] });
  const headers = { "content-type": "application/json" };
  for (let tries = 0; tries < 100; tries++) {
    if (await fetch(url, { method: "POST", headers, body }).then((answer) => answer.ok, () => false)) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { url, stop: () => child.kill() };
}

// The other node wants to be paid.
const gasPrice = 2_000_000_000n;
const wallet = new Wallet(key);
const [rich] = await theirs.send("eth_accounts", []);
const gift = { from: rich, to: wallet.address, value: `0x${parseEther("10").toString(16)}` };
await within(60, "the gift", theirs.waitForTransaction(await theirs.send("eth_sendTransaction", [gift])));

const { abi, bytecode } = compiled();
const parent = getCreateAddress({ from: wallet.address, nonce: 0 });
const calls = [
  { what: "a creation", to: null, data: bytecode },
  { what: "calls of every kind", to: parent, data: abi.encodeFunctionData("all", ["0x010203"]) },
  { what: "a call that fails", to: parent, data: abi.encodeFunctionData("fails") },
  { what: "a transfer", to: receiver, data: "0x" },
];
const tracers = [
  { tracer: "callTracer" },
  { tracer: "callTracer", tracerConfig: { withLog: true } },
  { tracer: "callTracer", tracerConfig: { onlyTopCall: true } },
  { tracer: "prestateTracer" },
  { tracer: "prestateTracer", tracerConfig: { diffMode: true } },
  { tracer: "4byteTracer" },
  {},
  { enableMemory: true, enableReturnData: true },
  { disableStack: true, disableStorage: true },
];

for (const [nonce, { what, to, data }] of calls.entries()) {
  const tx = { type: 0, chainId, nonce, to, data, gasPrice, gasLimit: 3_000_000n };
  const raw = await wallet.signTransaction(tx);
  const hash = await ours.send("eth_sendRawTransaction", [raw]);
  await theirs.send("eth_sendRawTransaction", [raw]);
  await within(60, "receipt", ours.waitForTransaction(hash).catch(() => {}));
  await within(60, "receipt of the other", theirs.waitForTransaction(hash).catch(() => {}));
  const miner = (await theirs.getBlock("latest")).miner.toLowerCase();
  for (const options of tracers) {
    const [our, their] = await Promise.all(
      [ours, theirs].map((node) => node.send("debug_traceTransaction", [hash, options])),
    );
    if (our.type && BigInt(our.gas) !== tx.gasLimit) throw new Error(`${what}: the root has another gas limit`);
    const same = (trace) => comparable(trace, { miner, sender: wallet.address.toLowerCase() });
    deepStrictEqual(same(our), same(their), `${what}, ${JSON.stringify(options)}`);
  }
  check(`${what}: ${tracers.length} traces as the other node tells them`, true);
}
const some = await ours.send("debug_traceBlockByNumber", ["latest", { limit: 7 }]);
check("a block with a limit of steps", some.every((one) => one.result.structLogs.length <= 7));
const message = { from: wallet.address, to: parent, data: abi.encodeFunctionData("fails"), gas: "0x100000" };
const options = { tracer: "callTracer" };
const [our, their] = await Promise.all([ours, theirs].map((node) => node.send("debug_traceCall", [message, "latest", options])));
deepStrictEqual(comparable(our, {}), comparable(their, {}));
check("a message that nobody signed", our.error === "execution reverted");
const refused = await ours.send("debug_traceCall", [message, "latest", { tracer: "{}" }]).catch((error) => String(error.error?.message));
check("a tracer in JavaScript is refused", refused.includes("prestateTracer"));
stop();
process.exit(0);

/// Without what two right answers may differ in: how emptiness is written, hex with and without prefix, words about errors, and
/// what the one is paid and the other is not.
function comparable(trace, paid) {
  const hex = (text) => (text.startsWith("0x") ? text : `0x${text}`);
  if (trace.structLogs) {
    const step = ({ pc, op, gas, gasCost, depth, stack, storage, memory, error, returnData }) => ({
      // Refunds are left out: geth's counter is the transaction's, anvil's each call's.
      pc, gas, depth, stack,
      // What a step that fails would have cost is written in more than one way, and so are codes without a name.
      // So is that of a creation: with what it hands on (anvil), or without (geth, and here).
      gasCost: error || op.startsWith("CREATE") ? 0 : gasCost,
      op: /not defined|unknown|invalid/i.test(op) ? "INVALID" : op,
      storage: !error && storage && Object.fromEntries(Object.entries(storage).map((slot) => slot.map(hex))),
      memory: memory?.length ? memory.map(hex) : undefined,
      returnData: returnData && hex(returnData) !== "0x" ? hex(returnData) : undefined,
    });
    return { ...trace, returnValue: hex(trace.returnValue), structLogs: trace.structLogs.map(step) };
  }
  // anvil counts calls of precompiled contracts too.
  if (Object.values(trace).some((count) => typeof count === "number")) return { ...trace, "0x00000000-60": undefined };
  const accounts = (state) =>
    Object.fromEntries(
      Object.entries(state).flatMap(([address, account]) => {
        const { balance, codeHash, ...rest } = account;
        if (address === paid.miner) return [];
        if (address !== paid.sender) return [[address, { balance, ...rest }]];
        return Object.keys(rest).length ? [[address, rest]] : [];
      }),
    );
  if (trace.pre) return { pre: accounts(trace.pre), post: accounts(trace.post) };
  // anvil leaves out what the transaction pays before its first call.
  if (trace.type) return { ...trace, gas: undefined };
  // And tells of accounts that there were not.
  const was = ([, { balance, nonce, code }]) => BigInt(balance ?? 1) > 0n || nonce || code;
  return Object.fromEntries(Object.entries(accounts(trace)).filter(was));
}
