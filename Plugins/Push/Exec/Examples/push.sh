#!/bin/sh
# Example of a program for Farbell's push kind "exec" in plain shell: appends each notification to a file.
# One JSON line in, one JSON line out; `jq` would be safer for anything more than the id.
#   push.sh FILE
set -eu
file=$1
while IFS= read -r line; do
    # The id comes first in every request and consists of digits.
    id=${line#'{"id":"'}
    id=${id%%\"*}
    if printf '%s\n' "$line" >>"$file"; then
        printf '{"id":"%s","outcome":"delivered"}\n' "$id"
    else
        printf '{"id":"%s","outcome":"retry","reason":"cannot_write"}\n' "$id"
    fi
done
