#!/bin/busybox sh
# The greeting again, with what tells one boot from another.
export PATH=/bin:/sbin
printf 'Content-Type: text/plain\r\n\r\n'
echo "$(cat /run/greeting) boot_id=$(cat /proc/sys/kernel/random/boot_id) uptime_s=$(cut -d ' ' -f 1 /proc/uptime)"
