// Signing left to the node: ethers' JsonRpcSigner, viem's JSON-RPC account and web3's eth.sendTransaction, for an account that
// is made and unlocked over the node's local socket (LONJA_IPC).
import { connect } from "node:net";
import { JsonRpcProvider, ContractFactory, parseEther } from "ethers";
import { createWalletClient, createPublicClient, http } from "viem";
import { Web3 } from "web3";
import { HTTP, check, receiver, token, within } from "./common.mjs";

/// One call over the local socket.
function local(method, params) {
  return new Promise((resolve, reject) => {
    const socket = connect(process.env.LONJA_IPC);
    let answer = "";
    socket.on("error", reject);
    socket.on("data", (bytes) => (answer += bytes));
    socket.on("end", () => {
      const { result, error } = JSON.parse(answer);
      if (error) reject(new Error(error.message));
      else resolve(result);
    });
    socket.end(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }));
  });
}

const account = await local("personal_newAccount", ["a password"]);
const provider = new JsonRpcProvider(HTTP);
check("the account is listed", (await provider.listAccounts()).some((one) => one.address.toLowerCase() === account));
const signer = await provider.getSigner(account);
let locked = "";
await signer.sendTransaction({ to: receiver }).catch((error) => (locked = JSON.stringify(error)));
check("a locked account does not sign", locked.includes("authentication needed"));
await local("personal_unlockAccount", [account, "a password", 300]);

const contract = await new ContractFactory(token.abi, token.bytecode, signer).deploy();
await within(60, "deployment", contract.waitForDeployment());
const sent = await contract.transfer(receiver, parseEther("5"));
check("ethers: the node sends", (await within(60, "receipt", sent.wait())).status === 1);
check("ethers: the receiver has the tokens", (await contract.balanceOf(receiver)) === parseEther("5"));
check("ethers: a message is signed", (await signer._legacySignMessage("hello")).length === 132);

const web3 = new Web3(HTTP);
const receipt = await within(60, "receipt", web3.eth.sendTransaction({ from: account, to: receiver, data: "0x01" }));
check("web3: the node sends", receipt.status === 1n);

const wallet = createWalletClient({ account, transport: http(HTTP) });
const hash = await wallet.sendTransaction({ chain: null, to: receiver, data: "0x02" });
const mined = await within(60, "receipt", createPublicClient({ transport: http(HTTP) }).waitForTransactionReceipt({ hash }));
check("viem: the node sends", mined.status === "success" && mined.from === account);
check("the account is locked again", await local("personal_lockAccount", [account]));
provider.destroy();
