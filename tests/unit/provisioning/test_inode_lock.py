"""Where a file is mounted, and on what kind of disk: read from what the system says."""

from __future__ import annotations

import pytest

from sigmamind_async.provisioning.journal.sqlite.inode_lock import Mount, mount_of

MOUNTINFO = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:5 / /proc rw,nosuid - proc proc rw
40 22 0:44 / /mnt/orders rw,relatime shared:20 master:3 - nfs4 server:/export rw,vers=4.2
41 22 0:45 / /mnt/Meine\040Daten rw - fuse.bindfs /src rw,user_id=0
42 22 254:0 /host/o.db /data/orders.db rw,relatime - ext4 /dev/vda rw
43 22 0:46 / /data rw - tmpfs tmpfs rw
44 22 0:47 / /data rw - cifs //server/share rw
a line of another kind
"""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/home/orders.db", Mount("/", "ext4")),
        ("/mnt/orders/orders.db", Mount("/mnt/orders", "nfs4")),
        ("/mnt/orders-2/orders.db", Mount("/", "ext4")),
        ("/mnt/Meine Daten/j.db", Mount("/mnt/Meine Daten", "fuse.bindfs")),
        ("/data/orders.db", Mount("/data/orders.db", "ext4")),
        ("/data/others.db", Mount("/data", "cifs")),
    ],
)
def test_a_file_is_on_the_mount_that_covers_it(path: str, mount: Mount) -> None:
    """The longest path wins, and of two on one place the later, which hides the other."""
    assert mount_of(path, MOUNTINFO) == mount


def test_nothing_is_known_where_the_system_says_nothing() -> None:
    assert mount_of("/home/orders.db", "") is None


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "9p")),
        *((kind, False) for kind in ("ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "fusectl")),
    ],
)
def test_disks_that_do_not_forward_locks_are_known_by_their_type(kind: str, remote: bool) -> None:
    assert Mount("/", kind).is_remote is remote
