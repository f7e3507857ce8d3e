#!/bin/sh
# Looks into a folder for Farbell, by the `once` contract: started for each look, news on standard output, the rest in
# the exit status. A file NNN.json in the folder is a piece of news: one line, a JSON object with "key", "title" and so
# on. Files are numbered upwards. The folder may want a password: the one in its file ".password".
set -u
LC_ALL=C
cursor='' folder='' password=''
while IFS= read -r line; do
    case $line in
        cursor=*) cursor=${line#cursor=} ;;
        config.folder=*) folder=${line#config.folder=} ;;
        secret.password=*) password=${line#secret.password=} ;;
    esac
done

failed() { # STATUS KIND TEXT
    printf '{"error":{"kind":"%s","text":"%s","retryAfter":%s}}\n' "$2" "$3" "${4:-60}"
    exit "$1"
}

[ -d "$folder" ] || failed 3 network "the folder is not there"
echo one >>"$folder/.logins"
if [ -f "$folder/.password" ] && [ "$(cat "$folder/.password")" != "$password" ]; then
    failed 2 auth_failed "the folder has another password"
fi
[ ! -f "$folder/.busy" ] || failed 3 throttled "the folder wants a pause" "$(cat "$folder/.busy")"

status=0
last=${cursor:-0}
for file in "$folder"/*.json; do
    name=${file##*/}
    [ -f "$file" ] || continue
    [ "$name" \> "$last" ] || continue
    # On the first run, without a cursor, what is there is old: only the cursor moves.
    if [ -n "$cursor" ]; then
        printf '{"new":%s}\n' "$(cat "$file")"
        status=1
    fi
    last=$name
done
printf '{"cursor":"%s"}\n' "$last"
exit $status
