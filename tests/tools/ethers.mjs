// ethers 6: deploy, transfer, read events, wait for the receipt, follow a subscription.
import { ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider, parseEther } from "ethers";
import { HTTP, WS, check, checkEmpty, key, receiver, token, within } from "./common.mjs";

const provider = new JsonRpcProvider(HTTP);
const wallet = new Wallet(key, provider);
await checkEmpty("before", wallet.address);
if (!process.env.KEY) check("ethers sees none", (await provider.getBalance(wallet.address)) === 0n);

const contract = await new ContractFactory(token.abi, token.bytecode, wallet).deploy();
await within(60, "deployment", contract.waitForDeployment());
check("code is deployed", (await provider.getCode(await contract.getAddress())).length > 100);

const socket = new WebSocketProvider(WS);
const heads = within(60, "newHeads", new Promise((resolve) => socket.on("block", resolve)));
const followed = contract.connect(socket);
const event = within(60, "Transfer event", new Promise((resolve) => followed.on("Transfer", (...args) => resolve(args))));
await heads;

const sent = await contract.transfer(receiver, parseEther("5"));
const receipt = await within(60, "receipt", sent.wait());
check("the transfer succeeded", receipt.status === 1);
const [, to, amount] = await event;
check("the subscription delivered the event", to.toLowerCase() === receiver && amount === parseEther("5"));
check("the receiver has the tokens", (await contract.balanceOf(receiver)) === parseEther("5"));
const logs = await contract.queryFilter("Transfer", receipt.blockNumber, receipt.blockNumber);
check("the event is in the logs", logs.some((log) => log.transactionHash === receipt.hash));
let refused = false;
try {
  await contract.transfer.staticCall("0x0000000000000000000000000000000000000000", 1n);
} catch (error) {
  refused = error.code === "CALL_EXCEPTION" && error.revert?.name === "ERC20InvalidReceiver";
}
check("a revert carries its custom error", refused);
const block = await provider.getBlock("finalized");
check("finalized is the head or its parent", block.number >= receipt.blockNumber);
await checkEmpty("after", wallet.address);
await socket.destroy();
provider.destroy();
