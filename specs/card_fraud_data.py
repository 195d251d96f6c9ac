"""The tables of card_fraud.yaml: card transactions of 2017-01 to 2018-04, merchants and cardholders. All invented.

No free data set has this shape, so the data is drawn from a seed and is the same on every machine. Every number comes
from PCG64's raw stream by inversion: numpy guarantees that stream, but may change how it draws other distributions.

What monitoring should find:

- Spring and summer are like the first quarter. New cards appear from October on, of younger people with lower scores:
  `card_age` and `card_fico_score` drift in the fourth quarter, and no other column does.
- Declines move slowly from some trades to others: a model of the first quarter gets slightly worse every quarter.
- The distance between card and merchant has an effect, but is not a feature of the model.
"""

from dataclasses import dataclass
from datetime import date
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

TRANSACTIONS, CARDS, NEW_CARDS, MERCHANTS = 327_000, 44_335, 7_200, 70_086
SUBSECTORS, CATEGORIES, CITIES = 38, 269, 60
NEW_CARD_ROWS = 72_000  # transactions by new cards
START, DAYS = date(2017, 1, 1), 485
AUTUMN, CAMPAIGN = 273, 75  # day of the first new cards (1 October), number of days on which they appear

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Draw:
    """Random numbers by inversion of PCG64's raw stream."""

    bits: np.random.PCG64

    def uniform(self, n: int) -> Floats:
        """Draw `n` numbers from the uniform distribution on [0, 1)."""
        bits: NDArray[np.uint64] = self.bits.random_raw(n) >> np.uint64(11)
        return bits.astype(np.float64) * 2.0**-53

    def normal(self, n: int) -> Floats:
        """Draw `n` numbers from the standard normal distribution, by the Box-Muller transform."""
        radius: Floats = np.sqrt(-2 * np.log1p(-self.uniform(n)))
        return radius * np.cos(2 * np.pi * self.uniform(n))

    def below(self, n: int, bound: int | Integers) -> Integers:
        """Draw `n` whole numbers uniformly from 0 to bound - 1."""
        return (self.uniform(n) * bound).astype(np.int64)

    def weighted(self, n: int, weights: Floats) -> Integers:
        """Draw `n` indices of `weights`, with probabilities in proportion to the weights."""
        edges = np.cumsum(weights)
        return np.asarray(np.searchsorted(edges, self.uniform(n) * edges[-1], side="right"), np.int64)


def draw(seed: int) -> Draw:
    return Draw(np.random.PCG64(seed))


@dataclass(frozen=True)
class Places:
    """Addresses of people and shops: a town, drawn by population, and a position in it, in degrees."""

    town: Integers
    latitude: Floats
    longitude: Floats


def places(d: Draw, n: int) -> Places:
    towns = draw(1)
    centre = 29 + 18 * towns.uniform(CITIES), -122 + 48 * towns.uniform(CITIES)
    town = np.sort(d.weighted(n, 1 / np.arange(3.0, CITIES + 3)))
    latitude, longitude = (middle[town] + 0.15 * d.normal(n) for middle in centre)
    return Places(town, latitude.round(4), longitude.round(4))


@dataclass(frozen=True)
class Cards:
    """Cardholders. `since` is the first day, counted from START; it is not negative for new cards of the autumn."""

    place: Places
    since: Integers
    age: Integers
    score: Integers


@cache
def cards() -> Cards:
    d = draw(2)
    place, new = places(d, CARDS), np.zeros(CARDS, bool)
    new[np.argsort(d.uniform(CARDS))[:NEW_CARDS]] = True
    since = np.where(new, AUTUMN + d.below(CARDS, CAMPAIGN), -1 - d.below(CARDS, 6 * 365))
    z = d.normal(CARDS)
    age = np.where(new, 31 + 8 * z, 47 + 14 * z).clip(18, 92).astype(np.int64)
    score = np.where(new, 610, 696) + 22 * z + 62 * d.normal(CARDS)
    return Cards(place, since, age, score.clip(300, 850).round().astype(np.int64))


@dataclass(frozen=True)
class Merchants:
    """Merchants, ordered by town. Each trade (`category`) belongs to one subsector."""

    place: Places
    category: Integers
    subsector: Integers


@cache
def shops() -> Merchants:
    d = draw(3)
    category = d.weighted(MERCHANTS, 1 / np.arange(8.0, CATEGORIES + 8))
    return Merchants(places(d, MERCHANTS), category, category % SUBSECTORS)


def distance(a: Places, i: Integers, b: Places, j: Integers) -> Floats:
    """Return the kilometres between places i of a and j of b, on a plane tangent to the earth."""
    north = a.latitude[i] - b.latitude[j]
    east = (a.longitude[i] - b.longitude[j]) * np.cos(np.radians(a.latitude[i]))
    return 111.2 * np.hypot(north, east)


def days(d: int | Integers) -> pl.Series:
    return pl.Series(np.asarray(d) + START.toordinal() - date(1970, 1, 1).toordinal(), dtype=pl.Int32).cast(pl.Date)


def texts(codes: Integers, names: list[str]) -> pl.Series:
    return pl.Series(names).gather(codes)


def cardholders() -> pl.DataFrame:
    """Return one row per card."""
    d, c = draw(4), cards()
    return pl.DataFrame(
        {
            "card_id": np.arange(1, CARDS + 1),
            "first_active_month": days(c.since).dt.truncate("1mo"),
            "reward_program": texts(d.weighted(CARDS, np.array([6.0, 3, 1])), ["cash_back", "points", "travel"]),
            "latitude": c.place.latitude,
            "longitude": c.place.longitude,
            "fico_score": c.score,
            "age": c.age,
        }
    )


def merchants() -> pl.DataFrame:
    """Return one row per merchant."""
    m = shops()
    return pl.DataFrame(
        {
            "merchant_id": np.arange(1, MERCHANTS + 1),
            "subsector": texts(m.subsector, [f"subsector_{i:02}" for i in range(1, SUBSECTORS + 1)]),
            "latitude": m.place.latitude,
            "longitude": m.place.longitude,
        }
    )


def transactions() -> pl.DataFrame:
    """Return one row per purchase, in order of time. `authorized_flag` is missing if there is no decision yet."""
    d, c, m = draw(10), cards(), shops()
    n = TRANSACTIONS
    card, day = spending(d, c)

    remote = d.uniform(n) < 0.25
    first = np.searchsorted(m.place.town, np.arange(CITIES + 1))
    town = c.place.town[card]
    local_shop = first[town] + d.below(n, first[town + 1] - first[town])
    shop = np.where(remote, d.below(n, MERCHANTS), local_shop)
    category, subsector = m.category[shop], m.subsector[shop]

    item = d.weighted(n, np.array([5.0, 3, 1.5, 0.5]))
    codes = np.arange(SUBSECTORS)
    size = 0.35 * np.sin(1.7 * codes)[subsector] + 0.25 * item + d.normal(n)
    refund = d.uniform(n) < 0.012
    amount = np.where(refund, -1, 1) * np.exp(3.3 + 0.9 * size).round(2)
    signed = d.uniform(n) < np.where(remote, 0.15, 0.7)

    turn = (np.pi / 2) * day / DAYS
    trade = np.cos(turn) * np.sin(2.4 * codes)[subsector] + np.sin(turn) * np.sin(5.3 * codes + 1)[subsector]
    odds = (
        3.45
        + 0.010 * (c.score[card] - 690)
        + 0.022 * (c.age[card] - 45)
        - 0.55 * np.maximum(size - 0.4, 0) ** 2
        - 0.5 * (item == 3)
        + 0.6 * signed
        + 1.3 * trade
        + np.where(category % 11 == 0, -0.8, 0.1)
        - 0.10 * np.log1p(distance(c.place, card, m.place, shop))
        + refund
    )
    authorized = d.uniform(n) < 1 / (1 + np.exp(-odds))
    undecided = d.uniform(n) < 0.22
    return pl.DataFrame(
        {
            "transaction_id": np.arange(1, n + 1),
            "card_id": card + 1,
            "merchant_id": shop + 1,
            "purchase_date": days(day),
            "purchase_amount": amount,
            "merchant_category_id": category + 1,
            "item_category": texts(item, ["A", "B", "C", "D"]),
            "signature_provided": signed.astype(np.int64),
            "authorized_flag": pl.Series(authorized).cast(pl.Int64).set(pl.Series(undecided), None),
        }
    )


def spending(d: Draw, c: Cards) -> tuple[Integers, Integers]:
    """Return the card and the day of each purchase, in order of time.

    Cards differ in how often they are used. New cards are used from their first day on.
    """
    often = np.exp(0.6 * d.normal(CARDS))
    new = c.since >= 0
    known = d.weighted(TRANSACTIONS - NEW_CARD_ROWS, often * ~new)
    joined = d.weighted(NEW_CARD_ROWS, often * new * (DAYS - c.since))
    day = d.below(len(known), DAYS), c.since[joined] + d.below(len(joined), DAYS - c.since[joined])
    card, when = np.concatenate([known, joined]), np.concatenate(day)
    order = np.argsort(when.astype(np.int16), kind="stable")
    return card[order], when[order]
