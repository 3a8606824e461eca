# Run in namespaces of its own: a machine of nothing but systemd.  $1: its folder.
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys # the kernel's settings are not ours
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/dev/pts /run/dev/shm
for device in null zero full random urandom tty; do
    touch /run/dev/$device
    mount --bind /dev/$device /run/dev/$device
done
ln -s /proc/self/fd /run/dev/fd
: >"$1/console"
touch /run/dev/console
mount --bind "$1/console" /run/dev/console
mount --rbind /run/dev /dev
mount --bind "$1/lib" /var/lib
mount --bind "$1/units" /etc/systemd/system
mount --bind "$1/vendor" /lib/systemd/system
mount -t tmpfs tmpfs /lib/systemd/system-generators
exec env -i PATH="$PATH" container=test SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --system --unit=basic.target
