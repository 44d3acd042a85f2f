#!/usr/bin/env bash
# Runs each argument as a shell command, shows what it prints, and ends with the sum of their
# closing lines "N passed, N failed, N skipped". A command that ends badly or without such a line
# counts as one failure more. Empty arguments are left out. Status 1 when anything failed.

set -u
output=$(mktemp) || exit 1
trap 'rm -f "$output"' EXIT
passed=0 failed=0 skipped=0

for command in "$@"; do
	[ -n "$command" ] || continue
	echo "== $command"
	bash -c "$command" 2>&1 | tee "$output"
	status=${PIPESTATUS[0]}
	last=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$output" | tail -n 1)
	if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
		passed=$((passed + BASH_REMATCH[1]))
		failed=$((failed + BASH_REMATCH[2]))
		skipped=$((skipped + BASH_REMATCH[3]))
		if [ "$status" -ne 0 ] && [ "${BASH_REMATCH[2]}" -eq 0 ]; then
			echo "== ended with status $status: $command"
			failed=$((failed + 1))
		fi
	else
		echo "== ended with status $status and without a closing line: $command"
		failed=$((failed + 1))
	fi
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
