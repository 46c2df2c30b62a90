// Uniswap v2 with the artefacts its authors published: factory, router, liquidity, a swap.
import { readFileSync } from "node:fs";
import { Contract, ContractFactory, JsonRpcProvider, NonceManager, Wallet, parseEther } from "ethers";
import { HTTP, check, checkEmpty, key, token, within } from "./common.mjs";

const artefact = (path) => JSON.parse(readFileSync(`node_modules/@uniswap/${path}.json`));
const provider = new JsonRpcProvider(HTTP);
const wallet = new NonceManager(new Wallet(key, provider));
const me = await wallet.getAddress();
await checkEmpty("before", me);
const deploy = async ({ abi, bytecode }, ...args) => {
  const contract = await new ContractFactory(abi, bytecode, wallet).deploy(...args);
  return within(60, "deployment", contract.waitForDeployment());
};
const done = async (sent) => (await within(60, "receipt", (await sent).wait())).status === 1;

const weth = await deploy(artefact("v2-periphery/build/WETH9"));
const factory = await deploy(artefact("v2-core/build/UniswapV2Factory"), me);
const router = await deploy(artefact("v2-periphery/build/UniswapV2Router02"), factory.target, weth.target);
const [a, b] = [await deploy(token), await deploy(token)];
check("factory, router and tokens are deployed", true);

check("approve", (await done(a.approve(router.target, parseEther("1000")))) && (await done(b.approve(router.target, parseEther("1000")))));
const deadline = 2 ** 40;
const args = [a.target, b.target, parseEther("100"), parseEther("100"), 0, 0, me, deadline];
check("liquidity is added", await done(router.addLiquidity(...args)));
const pair = new Contract(await factory.getPair(a.target, b.target), artefact("v2-core/build/UniswapV2Pair").abi, provider);
check("the pair holds the reserves", (await pair.getReserves())[0] === parseEther("100"));
const before = await b.balanceOf(me);
check("a swap", await done(router.swapExactTokensForTokens(parseEther("10"), 0, [a.target, b.target], me, deadline)));
const gained = (await b.balanceOf(me)) - before;
check("the price follows the formula", gained === (parseEther("10") * 997n * parseEther("100")) / (parseEther("100") * 1000n + parseEther("10") * 997n));
await checkEmpty("after", me);
provider.destroy();
