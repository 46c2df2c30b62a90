// What the JavaScript scenarios share: where the node is, a fresh account, and a check that says what failed.
import { readFileSync } from "node:fs";
import { randomBytes } from "node:crypto";

export const HTTP = process.env.RPC_URL ?? "http://127.0.0.1:8545";
export const WS = process.env.WS_URL ?? HTTP.replace("http", "ws");
export const token = JSON.parse(readFileSync(new URL("out/Token.json", import.meta.url)));
/// An account that nobody ever sent anything to.
export const key = process.env.KEY ?? `0x${randomBytes(32).toString("hex")}`;
export const receiver = `0x${randomBytes(20).toString("hex")}`;

export function check(what, condition) {
  if (!condition) throw new Error(`failed: ${what}`);
  console.log(`  ok  ${what}`);
}

/// Nothing is paid for anything: the account has nothing, before the scenario and after it.
export async function checkEmpty(when, address) {
  if (process.env.KEY) return;
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_getBalance", params: [address, "latest"] });
  const answer = await fetch(HTTP, { method: "POST", headers: { "content-type": "application/json" }, body });
  check(`the account has no balance ${when}`, BigInt((await answer.json()).result) === 0n);
}

/// Resolves like the promise, or fails after so many seconds.
export function within(seconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
