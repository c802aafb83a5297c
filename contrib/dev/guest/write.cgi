#!/bin/busybox sh
# Keeps the query on the guest's disk, and answers with everything kept so far.
export PATH=/bin:/sbin
printf 'Content-Type: text/plain\r\n\r\n'
[ -z "$QUERY_STRING" ] || { echo "$QUERY_STRING" >>/var/kept; sync; }
cat /var/kept 2>/dev/null
