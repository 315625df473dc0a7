"""Where the links of a dataset may lead: below its root, and below other folders that the user names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.printing import printable


@dataclass(frozen=True)
class Links:
    """Without ``follow``, a link that leads out of the root is refused; what leads to a folder is not walked."""

    setting: str = "datasets.<name>"
    """Where the user sets it, for messages."""
    follow: bool = False
    roots: tuple[Path, ...] = ()
    """Folders besides the root that what links lead to may lie in."""

    def resolved(self) -> Links:
        """The same with ``roots`` free of links. Raises UserError: one of them is not a folder."""
        for root in self.roots:
            if not root.is_dir():
                raise UserError(
                    f"{self.setting}.link_roots: no folder {printable(root)}; name folders that exist, with commas "
                    f"between"
                )
        return Links(self.setting, self.follow, tuple(root.resolve() for root in self.roots))

    def check(self, root: Path, link: Path, target: Path) -> None:
        """Raises UserError: ``target``, to which ``link`` leads in the end, lies where this dataset must not read.

        Args:
            root: of the dataset, and ``target``: free of links.
        """
        if target.is_relative_to(root):
            return
        place = printable(target if target.is_dir() else target.parent)
        if not self.follow:
            raise UserError(
                f"{printable(link)} leads outside of {printable(root)} (to {printable(target)}), and links are not "
                f"followed there unless you allow it: set {self.setting}.follow_links=true and "
                f"{self.setting}.link_roots={place} (for the verb data: --follow-links {place}), or put the files "
                f"themselves below the root, or point {self.setting}.root at the folder that holds them"
            )
        if not any(target.is_relative_to(allowed) for allowed in self.roots):
            named = ", ".join(map(printable, self.roots)) or "empty"
            raise UserError(
                f"{printable(link)} leads to {printable(target)}, which is in no folder of "
                f"{self.setting}.link_roots ({named}); add {place} there, or remove the link"
            )
