"""Every attack, in the order of the document."""

from typing import Final

from tests.attack.attack import Attack
from tests.attack.connection_attacks import CONNECTION_ATTACKS
from tests.attack.floods import FLOODS
from tests.attack.memory_attacks import MEMORY_ATTACKS

ATTACKS: Final[tuple[Attack, ...]] = (*FLOODS, *CONNECTION_ATTACKS, *MEMORY_ATTACKS)
