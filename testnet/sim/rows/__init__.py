"""The rows of the table, each a module of its own."""

from testnet.sim.measure import Row
from testnet.sim.rows import (
    attacking,
    churning,
    cutting,
    dying,
    hostile_dht,
    joining,
    moving,
    resolving,
    scaling,
    starting,
    stretching,
)

ROWS: tuple[Row, ...] = (
    *starting.ROWS,
    *moving.ROWS,
    *cutting.ROWS,
    *stretching.ROWS,
    *resolving.ROWS,
    *joining.ROWS,
    *hostile_dht.ROWS,
    *dying.ROWS,
    *churning.ROWS,
    *scaling.ROWS,
    *attacking.ROWS,
)
