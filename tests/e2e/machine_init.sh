#!/bin/sh
# PID 1 of a lab machine: gives it private directories, says "ready", then reaps what nobody else waits for.
# Everything it mounts is private to the machine and goes with it.
# usage: machine_init.sh MACHINE_DIR NAME SHARED_DIR
set -eu
machine=$1 name=$2 shared=$3

hostname "$name"
# The network namespace is new, and libvirt reads /sys/class/net.
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/libvirt /run/lock
mount --bind "$machine/srv" /srv
mount --bind "$machine/hosts" /etc/hosts
for kind in etc lib cache log; do
    case $kind in
        etc) target=/etc/libvirt ;;
        *) target=/var/$kind/libvirt ;;
    esac
    mount --bind "$machine/$kind" "$target"
done
# libvirt takes a file system of this type for shared, so live migration needs no "unsafe".
mkdir -p /srv/shared
bindfs -o subtype=glusterfs "$shared" /srv/shared

echo ready
# QEMU detaches itself from libvirtd and ends up as a child of this shell.
while :; do
    sleep 3600 &
    wait $! || :
done
