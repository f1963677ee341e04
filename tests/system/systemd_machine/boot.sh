#!/bin/sh
# Becomes the first process of new PID, mount, UTS, IPC and cgroup namespaces: systemd, on a
# throw-away copy of this machine's root. The network stays the one outside, so that the tests'
# servers on loopback are there.
#   boot.sh SCRATCH CHECKOUT PYTHON_HOME SITE_PACKAGES
set -e
scratch=$1 checkout=$2 python_home=$3 site_packages=$4
root=$scratch/root
mount --make-rprivate /
mkdir -p "$scratch/overlay" "$root"
mount -t tmpfs tmpfs "$scratch/overlay"
mkdir "$scratch/overlay/upper" "$scratch/overlay/work"
mount -t overlay overlay \
  -o "lowerdir=/,upperdir=$scratch/overlay/upper,workdir=$scratch/overlay/work" "$root"

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys" 2>/dev/null || mount --rbind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/sys/fs/cgroup" 2>/dev/null || true
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"

# What an installation puts there. The interpreter may lie in somebody's home, which the unit hides.
mkdir -p "$root/opt/inspector/.venv/bin" "$root/opt/inspector/inspector" \
  "$root/opt/inspector/site-packages" "$root/opt/python" "$root/opt/faults" \
  "$root/etc/inspector" "$root/etc/credstore"
mount --bind "$checkout/inspector" "$root/opt/inspector/inspector"
mount --bind "$site_packages" "$root/opt/inspector/site-packages"
mount --bind "$python_home" "$root/opt/python"
install -m 755 "$scratch/inspector" "$root/opt/inspector/.venv/bin/inspector"
install -m 644 "$scratch/sitecustomize.py" "$root/opt/faults/sitecustomize.py"
install -m 644 "$checkout/deploy/systemd/inspector.service" "$root/etc/systemd/system/"
mkdir "$root/etc/systemd/system/inspector.service.d"
install -m 644 "$scratch/test.conf" "$root/etc/systemd/system/inspector.service.d/test.conf"
mount --bind "$scratch/etc" "$root/etc/inspector"
install -m 600 "$scratch/secret" "$root/etc/credstore/inspector.redis.password"
chroot "$root" systemd-sysusers - <"$checkout/deploy/systemd/inspector.sysusers" >/dev/null

rm -rf "$root"/etc/systemd/system/*.wants
for unit in systemd-sysctl systemd-modules-load systemd-udevd systemd-udev-trigger \
  systemd-remount-fs kmod-static-nodes systemd-random-seed systemd-update-utmp; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
done
for unit in sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
  dev-hugepages.mount systemd-journald-audit.socket; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
# Credentials are mounted in a namespace of their own, and reach the machine by propagation.
mount --make-rshared "$root"
hostname inspector-test
exec chroot "$root" /usr/bin/env -i container=inspector-test \
  PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=basic.target --log-target=journal --show-status=no
