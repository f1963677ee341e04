"""The MES of the demo: tells the station what the simulated line makes, by its command stream.

It knows the line as a plant's MES knows its orders: which boards are of which product. Its commands
and their answers take the same path as those of any MES.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from inspector.events.consumer import ReceivedEvent
from inspector.products.store import ProductStore
from inspector.redis_io.client import ask, redis_client
from inspector.redis_io.rights import COMMANDS, station_key
from inspector.settings.settings import Settings
from inspector.simulation.board import number_of
from inspector.simulation.options import SimulationOptions, parse_options
from inspector.sources.simulated.uri import SimulatedUri

CAMERA = "top"
PRODUCTS = ("controller", "panel")
"""Names of the circuits of the simulated line, in their order."""
TAUGHT_UNITS = 6
SEEN_BEFORE = 3
"""How many boards of the first product are inspected before teaching, by single pictures alone."""
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Order:
    """Boards of one product, one after the other."""

    number: int
    """From 0."""
    product: str
    last_board: int


class LinePlan:
    """The products and orders of the simulated line."""

    def __init__(self, options: SimulationOptions) -> None:
        self._options = options

    @classmethod
    def of(cls, settings: Settings) -> LinePlan | None:
        """The products of the line that these settings name; None if it makes only one."""
        source = settings.cameras[CAMERA].source
        if not isinstance(source, SimulatedUri):
            return None
        options = parse_options(source.options)
        return cls(options) if options.products > 1 else None

    def product_of(self, board: int) -> str:
        """The name of a board of the line."""
        return self.order_of(board).product

    def order_of(self, board: int) -> Order:
        """The order that a board belongs to."""
        number = (board - 1) // self._options.change_every
        product = PRODUCTS[number % min(self._options.products, len(PRODUCTS))]
        return Order(number, product, (number + 1) * self._options.change_every)


def write_products(settings: Settings) -> None:
    """Give the station a file for each product of its line."""
    if LinePlan.of(settings) is None:
        return
    store = ProductStore(settings.products_directory)
    for product in PRODUCTS:
        store.write(product, b'revision = "A"\n')


class DemoMes:
    """Changes the demo's station from product to product, and has each taught once."""

    def __init__(self, url: str, settings: Settings, plan: LinePlan) -> None:
        self._client = redis_client(
            url, password=None, timeout_s=_TIMEOUT_S, connect_timeout_s=_TIMEOUT_S
        )
        self._key = station_key(settings.station.id, COMMANDS)
        self._plan = plan
        self._order: Order | None = None
        self._taught: set[str] = set()

    async def note(self, unit: ReceivedEvent) -> None:
        """Take a unit's verdict: send the command that follows from it, if any."""
        board = number_of(unit.unit_id) or int(unit.body["unit"]["number"])
        order = self._plan.order_of(board)
        if board >= order.last_board:
            order = self._plan.order_of(board + 1)
        if order != self._order:
            # Not before the first unit: a station reads no command that is older than itself.
            self._order = order
            number = f"DEMO-{order.number + 1}"
            await self._say(command="set_product", product=order.product, order=number)
        if board >= SEEN_BEFORE:
            await self._teach_once(order.product)

    async def _teach_once(self, product: str) -> None:
        if product not in self._taught:
            self._taught.add(product)
            # The line's first boards are good, and nobody is here to check the reference.
            await self._say(
                command="teach", product=product, units=str(TAUGHT_UNITS), approve="true"
            )

    async def _say(self, **fields: str) -> None:
        entry = fields | {"by": "demo"}
        await ask(self._client.xadd(self._key, dict(entry.items())))

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()


@asynccontextmanager
async def demo_mes(url: str, settings: Settings) -> AsyncIterator[DemoMes | None]:
    """The MES of a simulated line of several products; None for any other source."""
    plan = LinePlan.of(settings)
    if plan is None:
        yield None
        return
    mes = DemoMes(url, settings, plan)
    try:
        yield mes
    finally:
        await mes.close()
