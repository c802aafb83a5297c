#!/bin/busybox sh
# Says whether this guest reaches the address in the query.
export PATH=/bin:/sbin
printf 'Content-Type: text/plain\r\n\r\n'
if ping -c 1 -W 2 "$QUERY_STRING" >/dev/null 2>&1; then
    echo reachable
else
    echo unreachable
fi
