#!/usr/bin/env bash
# forge and cast: compile, deploy, transfer, read events and balances.
set -euo pipefail
cd "$(dirname "$0")"
bin=$PWD/node_modules/.bin
rpc=${RPC_URL:-http://127.0.0.1:8545}
receiver=0x2222222222222222222222222222222222222222
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
created=$("$bin/forge" create src/Token.sol:Token --rpc-url "$rpc" --private-key "$KEY" --broadcast --json)
token=$(grep -o '"deployedTo": *"0x[0-9a-fA-F]*"' <<< "$created" | grep -o '0x[0-9a-fA-F]*')
check "forge create deployed code" "$([ "$("$bin/cast" code "$token" --rpc-url "$rpc" | wc -c)" -gt 100 ] && echo yes)" yes
status=$("$bin/cast" send "$token" "transfer(address,uint256)" "$receiver" 5 --rpc-url "$rpc" --private-key "$KEY" --json | node -p 'JSON.parse(require("fs").readFileSync(0)).status')
check "cast send" "$status" 0x1
check "cast call" "$("$bin/cast" call "$token" "balanceOf(address)(uint256)" "$receiver" --rpc-url "$rpc")" 5
logs=$("$bin/cast" logs --address "$token" --from-block 0 "Transfer(address,address,uint256)" --rpc-url "$rpc" --json | node -p 'JSON.parse(require("fs").readFileSync(0)).length')
check "cast logs" "$logs" 2
check "cast block finalized" "$("$bin/cast" block finalized -f baseFeePerGas --rpc-url "$rpc")" 0
