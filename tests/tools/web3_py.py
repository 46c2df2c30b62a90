"""web3.py: deploy, transfer, read events, wait for the receipt, follow a WebSocket subscription."""

import asyncio
import json
import os
import secrets

from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError

HTTP = os.environ.get("RPC_URL", "http://127.0.0.1:8545")
WS = os.environ.get("WS_URL", HTTP.replace("http", "ws"))


def check(what, condition):
    if not condition:
        raise SystemExit(f"failed: {what}")
    print(f"  ok  {what}")


with open(os.path.join(os.path.dirname(__file__), "out", "Token.json")) as file:
    token = json.load(file)
w3 = Web3(Web3.HTTPProvider(HTTP))
account = w3.eth.account.from_key(os.environ.get("KEY", "0x" + secrets.token_hex(32)))
receiver = Web3.to_checksum_address("0x" + secrets.token_hex(20))


def check_empty(when):
    """Nothing is paid for anything."""
    if "KEY" not in os.environ:
        check(f"the account has no balance {when}", w3.eth.get_balance(account.address) == 0)


def send(call):
    transaction = call.build_transaction({"from": account.address, "nonce": w3.eth.get_transaction_count(account.address)})
    signed = account.sign_transaction(transaction)
    return w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(signed.raw_transaction), timeout=60)


check_empty("before")
deployed = send(w3.eth.contract(abi=token["abi"], bytecode=token["bytecode"]).constructor())
check("deployed", deployed.status == 1)
contract = w3.eth.contract(address=deployed.contractAddress, abi=token["abi"])
receipt = send(contract.functions.transfer(receiver, 5 * 10**18))
check("the transfer succeeded", receipt.status == 1)
event = contract.events.Transfer().process_receipt(receipt)[0]
check("the receipt carries the event", event.args.to == receiver and event.args.value == 5 * 10**18)
check("the receiver has the tokens", contract.functions.balanceOf(receiver).call() == 5 * 10**18)
logs = contract.events.Transfer().get_logs(from_block=receipt.blockNumber)
check("the event is in the logs", any(log.transactionHash == receipt.transactionHash for log in logs))
try:
    contract.functions.transfer("0x" + "00" * 20, 1).call({"from": account.address})
    check("a revert is reported", False)
except ContractCustomError as error:
    check("a revert carries its custom error", str(error.data).startswith("0xec442f05"))


async def follow():
    async with AsyncWeb3(WebSocketProvider(WS)) as socket:
        await socket.eth.subscribe("newHeads")
        async for message in socket.socket.process_subscriptions():
            return message["result"]["number"]


check("the subscription delivers heads", asyncio.run(asyncio.wait_for(follow(), 60)) >= receipt.blockNumber)
check_empty("after")
