// web3js-quorum, the client library of GoQuorum, between three members: what parties see and others do not.
const Web3 = require("web3");
const Web3Quorum = require("web3js-quorum");
const { Transaction } = require("ethereumjs-tx");

const offset = Number(process.env.PORT_OFFSET ?? 10000);
const member = (n) => {
  const web3 = new Web3(`http://127.0.0.1:${20000 + 2 * n + offset}`);
  return new Web3Quorum(web3, { privateUrl: `http://127.0.0.1:${9081 + n + offset}` }, true);
};

function check(what, condition) {
  if (!condition) throw new Error(`failed: ${what}`);
  console.log(`  ok  ${what}`);
}

// Stores and logs the word it is called with; called with nothing, answers what it stores.
const VAULT = "0x601e80600b6000396000f336156012576000358060005560006000a1005b60005460005260206000f3";
const word = (byte) => `0x${byte.repeat(32)}`;

async function main() {
  const [a, b, c] = [0, 1, 2].map(member);
  check("the manager is up", (await a.ptm.upCheck()) === "I'm up!");
  const keys = [];
  for (const web3 of [a, b, c]) keys.push(JSON.parse(await web3.ptm.keys()).keys[0].key);
  const known = async () => JSON.parse(await a.ptm.partyInfoKeys()).keys.map(({ key }) => key);
  const all = await known();
  check("each knows the others' keys", keys.every((key) => all.includes(key)));

  // Signed by the client: the payload is stored first, its hash signed, and the transaction sent with its parties.
  const signer = a.eth.accounts.create();
  const from = { privateKey: signer.privateKey };
  const common = { gasLimit: 1_000_000, gasPrice: 0, value: 0, from, isPrivate: true, privateFrom: keys[0], privateFor: [keys[1]] };
  const send = (nonce, fields) => a.priv.generateAndSendRawTransaction({ ...common, nonce, privacyFlag: 0, ...fields });
  const { contractAddress: vault, status } = await send(0, { data: VAULT });
  check("a private contract is made", status && vault);
  const written = await send(1, { to: vault, data: word("ab") });
  check("it is written to, and logs", written.status && written.logs.length === 1);
  const see = (web3) => web3.eth.call({ to: vault });
  check("both parties read the same", (await see(a)) === word("ab") && (await see(b)) === word("ab"));
  check("the third sees no contract", (await c.eth.getCode(vault)) === "0x" && (await see(c)) === "0x");
  const there = await b.eth.getTransactionReceipt(written.transactionHash);
  check("their receipts agree", there.status && there.logs[0].topics[0] === word("ab"));

  const seen = await c.eth.getTransaction(written.transactionHash);
  check("the third sees 64 bytes", seen.input.length === 130 && ["0x25", "0x26"].includes(seen.v));
  check("parties read the payload", (await b.eth.getQuorumPayload(seen.input)) === word("ab"));
  check("the third has none", (await c.eth.getQuorumPayload(seen.input)) === "0x");
  check("roots of storage agree", (await a.eth.storageRoot(vault)) === (await b.eth.storageRoot(vault)));
  check("state is called private", (await a.eth.getPSI()) === "private");

  // Signed by the node.
  const [account] = await a.eth.getAccounts();
  const request = { from: account, data: VAULT, gas: "0x47b760", privateFor: [keys[1]], privacyFlag: 1 };
  const made = await a.eth.sendGoQuorumTransaction(request, () => {});
  check("a node signs for a protected contract", made.contractAddress && Number(made.status) === 1);
  const metadata = await b.eth.getContractPrivacyMetadata(made.contractAddress);
  check("its party knows its protection", metadata.privacyFlag === 1);

  // In a marker, which somebody else signs.
  const data = await a.ptm.storeRaw({ data: word("cd"), privateFrom: keys[0] });
  const inner = new Transaction(
    { nonce: "0x2", to: vault, value: "0x0", gasLimit: "0xf4240", gasPrice: "0x0", data: `0x${data}` },
    { chain: "mainnet", hardfork: "homestead" },
  );
  inner.sign(Buffer.from(signer.privateKey.slice(2), "hex"));
  const marked = a.utils.setPrivate(`0x${inner.serialize().toString("hex")}`).toString("hex");
  const carried = await a.eth.distributePrivateTransaction(`0x${marked}`, { privateFor: [keys[1]] });
  const to = await a.eth.getPrivacyPrecompileAddress();
  const stranger = a.eth.accounts.create();
  const marker = await stranger.signTransaction({ to, data: carried, gas: 100_000, gasPrice: 0, nonce: 0, chainId: 1337 });
  const { transactionHash } = await a.eth.sendSignedTransaction(marker.rawTransaction);
  check("a marker carries a private transaction", (await see(a)) === word("cd"));
  // A receipt comes when the node has executed what is in its block.
  while (!(await b.eth.getTransactionReceipt(transactionHash))) await new Promise((resolve) => setTimeout(resolve, 200));
  check("to both parties", (await see(b)) === word("cd"));
  const receipt = await b.eth.getPrivateTransactionReceipt(transactionHash);
  check("its party has the receipt", receipt.logs.length === 1 && Number(receipt.status) === 1);
  const carriedThere = await b.eth.getPrivateTransactionByHash(transactionHash);
  check("and knows who signed it", carriedThere.from.toLowerCase() === signer.address.toLowerCase());
  const outer = await c.eth.getTransaction(transactionHash);
  check("the third sees a call of the marker by somebody unknown", outer.to === to && outer.from === stranger.address);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
