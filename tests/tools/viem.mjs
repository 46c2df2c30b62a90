// viem 2: deploy, transfer, read events, wait for the receipt, follow subscriptions.
import { createPublicClient, createWalletClient, defineChain, http, parseEther, webSocket } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { HTTP, WS, check, checkEmpty, key, receiver, token, within } from "./common.mjs";

const id = await createPublicClient({ transport: http(HTTP) }).getChainId();
const chain = defineChain({
  id,
  name: "lonja",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [HTTP] } },
});
const account = privateKeyToAccount(key);
const reader = createPublicClient({ chain, transport: http(HTTP) });
const writer = createWalletClient({ chain, account, transport: http(HTTP) });
const socket = createPublicClient({ chain, transport: webSocket(WS) });

await checkEmpty("before", account.address);
const deployment = await writer.deployContract({ abi: token.abi, bytecode: token.bytecode });
const deployed = await within(60, "deployment", reader.waitForTransactionReceipt({ hash: deployment }));
const address = deployed.contractAddress;
check("deployed", deployed.status === "success" && address);

let stop = [];
const head = new Promise((resolve) => stop.push(socket.watchBlocks({ onBlock: resolve })));
const event = new Promise((resolve) =>
  stop.push(socket.watchContractEvent({ address, abi: token.abi, eventName: "Transfer", onLogs: resolve })),
);
await within(60, "newHeads", head);

const hash = await writer.writeContract({ address, abi: token.abi, functionName: "transfer", args: [receiver, parseEther("5")] });
const receipt = await within(60, "receipt", reader.waitForTransactionReceipt({ hash }));
check("the transfer succeeded", receipt.status === "success");
const [log] = await within(60, "Transfer event", event);
check("the subscription delivered the event", log.args.to.toLowerCase() === receiver);
const balance = await reader.readContract({ address, abi: token.abi, functionName: "balanceOf", args: [receiver] });
check("the receiver has the tokens", balance === parseEther("5"));
const events = await reader.getContractEvents({ address, abi: token.abi, eventName: "Transfer", fromBlock: receipt.blockNumber });
check("the event is in the logs", events.some((e) => e.transactionHash === hash));
const fees = await reader.estimateFeesPerGas();
check("gas is free", fees.maxPriorityFeePerGas === 0n || process.env.KEY);
const proof = await reader.getProof({ address, storageKeys: [] });
check("a proof comes back", proof.accountProof.length > 0);
await checkEmpty("after", account.address);
stop.forEach((unwatch) => unwatch());
process.exit(0);
