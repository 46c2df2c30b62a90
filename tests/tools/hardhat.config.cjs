// Plain Hardhat; only the compiler comes from npm instead of a download.
const { subtask } = require("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");
const path = require("node:path");

subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async ({ solcVersion }) => ({
  compilerPath: require.resolve("solc/soljson.js"),
  isSolcJs: true,
  version: solcVersion,
  longVersion: solcVersion,
}));

module.exports = {
  solidity: "0.8.30",
  networks: { lonja: { url: process.env.RPC_URL ?? "http://127.0.0.1:8545", accounts: [process.env.KEY] } },
  paths: { root: __dirname, sources: path.join(__dirname, "work/contracts"), cache: path.join(__dirname, "work/cache"), artifacts: path.join(__dirname, "work/artifacts") },
};
