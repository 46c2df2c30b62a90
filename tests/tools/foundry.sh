#!/usr/bin/env bash
# forge and cast: compile, deploy, transfer, read events and balances.
set -euo pipefail
cd "$(dirname "$0")"
bin=$PWD/node_modules/.bin
rpc=${RPC_URL:-http://127.0.0.1:8545}
receiver=0x2222222222222222222222222222222222222222
ws=${WS_URL:-${rpc/http/ws}}
check() { if [ "$2" = "$3" ]; then echo "  ok  $1"; else echo "failed: $1: $2 is not $3"; exit 1; fi; }

rm -rf work/foundry && mkdir -p work/foundry/src
cp Token.sol work/foundry/src/
ln -s "$PWD/node_modules/@openzeppelin" work/foundry/@openzeppelin
cp solc-for-forge work/foundry/solc-for-forge.cjs
printf '#!/usr/bin/env bash\nexec node "%s/work/foundry/solc-for-forge.cjs" "$@"\n' "$PWD" > work/foundry/solc
chmod +x work/foundry/solc
cat > work/foundry/foundry.toml <<TOML
[profile.default]
src = "src"
libs = []
remappings = ["@openzeppelin/=@openzeppelin/"]
solc = "$PWD/work/foundry/solc"
offline = true
TOML
cd work/foundry
# The options come first: what stands behind --create belongs to it.
cast() { "$bin/cast" "$1" --rpc-url "$rpc" "${@:2}"; }
send() { cast send --private-key "$KEY" --json "$@"; }
field() { node -p "const v = JSON.parse(require('fs').readFileSync(0))$1; typeof v === 'object' ? JSON.stringify(v) : v"; }
has_code() { [ "$(cast code "$1" | wc -c)" -gt 100 ] && echo yes; }
me=$("$bin/cast" wallet address --private-key "$KEY")
check_empty() { [ -z "${FRESH:-}" ] || check "the account has no balance $1" "$(cast balance "$me")" 0; }
topic=$("$bin/cast" keccak "Transfer(address,address,uint256)")
check_empty before

created=$("$bin/forge" create src/Token.sol:Token --rpc-url "$rpc" --private-key "$KEY" --broadcast --json)
check "forge create deployed code" "$(has_code "$(field .deployedTo <<< "$created")")" yes

deployed=$(send --create "$(field .bytecode.object < out/Token.sol/Token.json)")
check "cast send --create" "$(field .status <<< "$deployed")" 0x1
token=$(field .contractAddress <<< "$deployed")
check "it deployed code" "$(has_code "$token")" yes

# The subscription stands before anything happens that it is to tell.
# timeout has a process group of its own and ends the whole of it: cast from npm is a script around the program.
timeout 100 "$bin/cast" logs --subscribe --address "$token" "Transfer(address,address,uint256)" --rpc-url "$ws" > subscribed.txt 2>&1 &
subscription=$!
trap 'kill $subscription 2>/dev/null || true' EXIT
sleep 3
kill -0 $subscription || { echo "failed: cast logs --subscribe ended"; cat subscribed.txt; exit 1; }

hash=$(send --async "$token" "transfer(address,uint256)" "$receiver" 5)
hash=${hash//\"/}
receipt=$(cast receipt "$hash" --json)
check "cast receipt waits for the block" "$(field .status <<< "$receipt")" 0x1
check "the receipt carries the event" "$(field '.logs[0].topics[0]' <<< "$receipt")" "$topic"
for _ in $(seq 60); do
    grep -q "$hash" subscribed.txt && break
    sleep 0.5
done
check "cast logs --subscribe delivered the event" "$(grep -c "transactionHash: $hash" subscribed.txt)" 1
check "and no other" "$(grep -c transactionHash subscribed.txt)" 1
check "cast call" "$(cast call "$token" "balanceOf(address)(uint256)" "$receiver")" 5
check "cast logs" "$(cast logs --address "$token" --from-block 0 "Transfer(address,address,uint256)" --json | field .length)" 2
check "cast block finalized" "$(cast block finalized -f baseFeePerGas)" 0
check_empty after
