#!/bin/busybox sh
# Answers with what another guest's web server says of itself; the query is its address.
export PATH=/bin:/sbin
printf 'Content-Type: text/plain\r\n\r\n'
wget -q -O - "http://$QUERY_STRING/cgi-bin/status" 2>/dev/null || echo unreachable
