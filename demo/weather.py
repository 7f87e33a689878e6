"""The second stage of the demo: a table of days goes to Elixir, one of months comes back.

The days are Seattle's weather from 2012 to 2015, as the vega_datasets package has it (NOAA, National Centers for
Environmental Information). Elixir reads the columns where they lie and sends a table of its own; pandas takes that as it is,
compares, and draws.
"""

import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "target" / "demo" / "weather.png"
TOLERANCE = 1e-9


def read_days():
    """A row a day: date, precipitation in mm, highest and lowest temperature in degrees Celsius, wind in m/s, weather."""
    from vega_datasets import data

    return data.seattle_weather()


def by_month(days):
    """The same by pandas."""
    months = days.groupby(days["date"].dt.to_period("M"))
    return months.agg(
        days=("date", "size"),
        precipitation=("precipitation", "sum"),
        temp_min=("temp_min", "min"),
        temp_mean=("temp_max", lambda highest: ((highest + days.loc[highest.index, "temp_min"]) / 2).mean()),
        temp_max=("temp_max", "max"),
        wet_days=("precipitation", lambda fallen: int((fallen > 0).sum())),
    )


def difference(months, days):
    """The largest one between Elixir's months and those of pandas; infinite where they are other months."""
    expected = by_month(days)
    if list(months["month"].dt.to_period("M")) != list(expected.index):
        return np.inf
    return float(np.abs(months[list(expected)].to_numpy("f8") - expected.to_numpy("f8")).max())


def run(send, receive):
    """Sends the days, draws the months. What there is to say of it, and how far it is from pandas."""
    days = read_days()
    begun = time.perf_counter_ns()
    send(days, meta={"aggregate": "months"})
    frame = receive()
    table = frame.value
    took = (time.perf_counter_ns() - begun) / 1e6
    months = table.to_pandas()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    draw(months)
    places = {"Elixir": frame.meta["in_place"], "Python": frame.in_place}
    where = ", ".join(f"{side} {'read in place' if there else 'copied'}" for side, there in places.items())
    return [
        f"weather: {len(days)} days out, {table.num_rows} months back in {took:.1f} ms; {where}",
        f"picture: {PICTURE.relative_to(ROOT)}",
    ], difference(months, days)


def draw(months):
    """Rain as bars, temperatures as a band and a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (rain, air) = pyplot.subplots(2, sharex=True, figsize=(9, 5), layout="constrained")
    rain.bar(months["month"], months["precipitation"], width=25, color="tab:blue")
    rain.set_ylabel("precipitation, mm")
    rain.set_title("Seattle by the month: sums and extremes of days, by Elixir")
    air.fill_between(months["month"], months["temp_min"], months["temp_max"], color="tab:orange", alpha=0.3)
    air.plot(months["month"], months["temp_mean"], color="tab:red")
    air.set_ylabel("temperature, °C")
    figure.savefig(PICTURE, dpi=120)
    pyplot.close(figure)
