// Hardhat: compile, deploy, transfer, read events. Run by `hardhat run`.
const hre = require("hardhat");

const check = (what, condition) => {
  if (!condition) throw new Error(`failed: ${what}`);
  console.log(`  ok  ${what}`);
};
const rpc = (method, ...params) => hre.network.provider.send(method, params);
const receipt = async (hash) => {
  for (let i = 0; i < 300; i++) {
    const found = await rpc("eth_getTransactionReceipt", hash);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`no receipt for ${hash}`);
};

async function main() {
  const [from] = await rpc("eth_accounts");
  // With an account of one's own it may be any.
  const checkEmpty = async (when) => {
    if (process.env.FRESH) check(`the account has no balance ${when}`, BigInt(await rpc("eth_getBalance", from, "latest")) === 0n);
  };
  await checkEmpty("before");
  const { bytecode } = await hre.artifacts.readArtifact("Token");
  const deployed = await receipt(await rpc("eth_sendTransaction", { from, data: bytecode }));
  check("deployed", deployed.status === "0x1");
  const receiver = "11".repeat(20);
  const word = (hex) => hex.padStart(64, "0");
  const data = `0xa9059cbb${word(receiver)}${word("5")}`;
  const sent = await receipt(await rpc("eth_sendTransaction", { from, to: deployed.contractAddress, data }));
  check("the transfer succeeded", sent.status === "0x1" && sent.logs.length === 1);
  const balance = await rpc("eth_call", { to: deployed.contractAddress, data: `0x70a08231${word(receiver)}` }, "latest");
  check("the receiver has the tokens", BigInt(balance) === 5n);
  const logs = await rpc("eth_getLogs", { address: deployed.contractAddress, fromBlock: sent.blockNumber });
  check("the event is in the logs", logs.length === 1);
  await checkEmpty("after");
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
