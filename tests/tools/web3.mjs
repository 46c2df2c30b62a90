// web3.js 4: deploy, transfer, read events, wait for the receipt, follow a subscription.
import { Web3 } from "web3";
import { HTTP, WS, check, checkEmpty, key, receiver, token, within } from "./common.mjs";

const web3 = new Web3(HTTP);
const account = web3.eth.accounts.wallet.add(key)[0];
await checkEmpty("before", account.address);
const amount = web3.utils.toWei("5", "ether");

const factory = new web3.eth.Contract(token.abi);
const contract = await within(60, "deployment", factory.deploy({ data: token.bytecode }).send({ from: account.address }));
check("deployed", contract.options.address);

const socket = new Web3(WS);
const heads = await socket.eth.subscribe("newBlockHeaders");
await within(60, "newBlockHeaders", new Promise((resolve) => heads.on("data", resolve)));
const logs = await socket.eth.subscribe("logs", { address: contract.options.address });
const event = within(60, "logs", new Promise((resolve) => logs.on("data", resolve)));

const receipt = await within(60, "receipt", contract.methods.transfer(receiver, amount).send({ from: account.address }));
check("the transfer succeeded", receipt.status === 1n);
check("the subscription delivered the event", (await event).transactionHash === receipt.transactionHash);
check("the receiver has the tokens", (await contract.methods.balanceOf(receiver).call()).toString() === amount);
const past = await contract.getPastEvents("Transfer", { fromBlock: receipt.blockNumber });
check("the event is in the logs", past.some((e) => e.transactionHash === receipt.transactionHash));
await checkEmpty("after", account.address);
await heads.unsubscribe();
await logs.unsubscribe();
socket.currentProvider.disconnect();
process.exit(0);
