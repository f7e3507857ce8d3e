#!/bin/sh
# A small device on Farbell, with curl and sed alone. Documentation/SmallDevices.md says what it does and why.
set -eu
url=${FARBELL_URL:?such as https://farbell.example.org} state=${FARBELL_STATE:-$HOME/.farbell-device}
text() { printf '%s' "$1" | tr '\n\r\t' '   ' | sed 's/[\\"]/\\&/g'; }
post() {
    printf '%s' "$2" | curl -fsS --retry 5 --retry-connrefused -H @"$state" -H 'Content-Type: application/json' \
        --data-binary @- "$url/v1$1"
}
case "${1:-} $#" in
'create 4') # ACCOUNT INSTALLATION TAG, and the password as one line of standard input
    umask 077 && IFS= read -r password
    token=$(printf 'user = "%s"\n' "$(text "$2:$password")" |
        curl -fsS -K - -H 'Content-Type: application/json' "$url/v1/devices" -d "{\"installation\":\"$(text "$3")\",
            \"name\":\"$(text "$3")\",\"platform\":\"shell\",\"tags\":[\"$(text "$4")\"]}")
    printf '%s\n' "$token" | sed -n 's/.*"token":"\([^"]*\)".*/Authorization: Bearer \1/p' >"$state" ;;
'listen 1')
    while :; do
        curl -fsSN --keepalive-time 30 -H @"$state" "$url/v1/stream" | while IFS= read -r line; do
            case $line in
            'id: '*) id=${line#id: } ;;
            'event: '*) event=${line#event: } ;;
            'data: '*) data=${line#data: } ;;
            '') [ -z "${id:-}" ] || { printf '%s %s\n' "$event" "$data" && post /stream/ack "{\"upTo\":$id}"; } && id='' ;;
            esac
        done || true
        sleep 3
    done ;;
'send 3') post /messages "{\"id\":\"$(date +%s)-$$\",\"to\":{\"tag\":\"$(text "$2")\"},\"body\":\"$(text "$3")\"}" ;;
'reply 3') post "/messages/$2/reply" "{\"body\":\"$(text "$3")\"}" ;;
*) echo 'usage: small-device.sh create ACCOUNT INSTALLATION TAG | listen | send TAG TEXT | reply MESSAGE TEXT' >&2 && exit 64 ;;
esac
