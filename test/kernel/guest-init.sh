#!/bin/sh
# Process 1 of a guest kernel whose root is the host's, read-only: makes it a machine, runs the tests, powers off.
# Words of the kernel's command line: subctl_repo, subctl_run (shell words, %20 for a space), subctl_patience, and for a
# kernel with modules subctl_modules (folder that has lib/modules) and subctl_load (names, comma-separated).
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
word() { tr ' ' '\n' </proc/cmdline | sed -n "s/^subctl_$1=//p" | sed 's/%20/ /g'; }
repo=$(word repo) modules=$(word modules)
say() { printf '%s\n' "$*" >/dev/console; }
finish() {
  say "@@ {\"exit\":$1}"
  sleep 1
  # Where there is no such file the host sees the line above and ends the guest.
  [ ! -w /proc/sysrq-trigger ] || echo o >/proc/sysrq-trigger
  while :; do sleep 60; done
}

# What is written goes to memory; the project and the modules keep their places where these are below such a folder.
mount -t tmpfs run /run && mkdir -p /run/lock /run/netns /run/aside/repo /run/aside/modules
mount --bind "$repo" /run/aside/repo || finish 71
[ -z "$modules" ] || mount --bind "$modules" /run/aside/modules || finish 71
for folder in /tmp /var/tmp /root; do mount -t tmpfs tmp "$folder"; done
chmod 1777 /tmp /var/tmp
keep() { if [ ! -e "$2/$3" ]; then mkdir -p "$2" && mount --bind "$1" "$2"; fi; }
keep /run/aside/repo "$repo" package.json
[ -z "$modules" ] || keep /run/aside/modules "$modules" lib
mkdir -p /dev/pts /dev/shm /dev/net
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cg /sys/fs/cgroup
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd

# There is no /lib/modules of this kernel, neither for modprobe nor for what the kernel asks for by itself.
if [ -n "$modules" ]; then
  printf '#!/bin/sh\nexec /sbin/modprobe -d %s "$@"\n' "$modules" >/run/modprobe
  chmod 755 /run/modprobe
  echo /run/modprobe >/proc/sys/kernel/modprobe
  for name in $(word load | tr , ' '); do /run/modprobe -q "$name"; done
fi
ip link set lo up

cd "$repo" || finish 71
say "@@ {\"kernel\":\"$(uname -r)\",\"seconds\":$(cut -d' ' -f1 /proc/uptime)}"
TEST_PATIENCE=$(word patience) sh -c "$(word run)" >/dev/console 2>&1
finish $?
