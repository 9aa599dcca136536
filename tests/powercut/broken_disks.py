"""Disks that are used wrongly, on purpose: a campaign that finds nothing on these would find nothing at all."""

from __future__ import annotations

from tests.powercut.recording import RecordingDisk

__all__ = ["BROKEN", "NoFolderSync", "PointerBeforeSync"]


class NoFolderSync(RecordingDisk):
    """A store that never makes its folders durable."""

    def sync_folder(self, folder: str) -> None:
        """Do nothing that lasts."""
        for _ in self._steps("sync_folder", folder):
            pass


class PointerBeforeSync(RecordingDisk):
    """A store that syncs files only at the end of each act: names point at content that is not safe yet."""

    def fsync(self, name: str) -> None:
        """Put the sync off until the audit log is synced, which is what each act ends with."""
        for _ in self._steps("fsync", name):
            if not name.startswith("audit/"):
                continue
            for folder in self._folders.values():
                for file in folder.names.values():
                    file.safe = file.content


BROKEN: dict[str, type[RecordingDisk]] = {
    "no folder is synced": NoFolderSync,
    "the pointer before the sync": PointerBeforeSync,
}
"""By what is wrong with them."""
