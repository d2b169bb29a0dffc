"""`make bench-economics`: lazy and colluding workers against every level, and coalitions against the draw.

Plays 100,000 jobs per setting of tests/reference/rounds.py, in which 0 to 50% of the stake is lazy or colludes, and a
million draws per setting of tests/reference/draws.py. All of it is seeded: two runs give the same figures. Amounts are
in prices of a seat. Writes bench/results/economics.json, the tables in docs/spec/economics.md and
docs/img/economics.svg, and fails if a gain over chance is above its limit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reference import draws
from reference.rounds import Behaviour, Level, Outcome, Stakes, play

from cloister.domain import economics

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "economics.json"
PAGE = ROOT / "docs" / "spec" / "economics.md"
PLOT = ROOT / "docs" / "img" / "economics.svg"

SEED = 20_26
ROUNDS = 100_000
DRAWS = 1_000_000
PLACES = 1_000
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
SHOWN = (0.1, 0.3, 0.5)
SLASH, SILENT, CHECK = 5.0, 1.0, 0.25
STAKES = Stakes(slash=SLASH, silent=SILENT, check=CHECK)
LEVELS = (
    Level("ATTESTED", 1, 1),
    Level("ATTESTED", 1, 1, referees=(3, 2)),
    Level("AGREED(3, 2)", 3, 2),
    Level("AGREED(3, 2)", 3, 2, referees=(7, 4)),
    Level("AGREED(3, 2)", 3, 2, referees=(7, 4), watchful=True),
    Level("AGREED(5, 3)", 5, 3),
    Level("PROVED", 1, 1, proved=True),
)
SWEPT_CHECKS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
SWEPT_SLASHES = (5.0, 10.0, 20.0)
LIMIT = 0.01
"""Most that a coalition may gain over the chance that its stake gives it."""
Z = 1.96


def main() -> None:
    """Plays, writes the results, and renews tables and plot; exits 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables-only", action="store_true", help="renew tables and plot from the committed results")
    if not parser.parse_args().tables_only:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(measure(ROUNDS, DRAWS), indent=1) + "\n")
        print(f"wrote {RESULTS.relative_to(ROOT)}")
    results = json.loads(RESULTS.read_text())
    PAGE.write_text(with_tables(PAGE.read_text("utf-8"), results), "utf-8")
    PLOT.write_text(drawn(results), "utf-8")
    print("renewed the tables in docs/spec/economics.md and docs/img/economics.svg")
    if missed := [row["attack"] for row in results["draws"] if row["limited"] and row["gain"] > LIMIT]:
        sys.exit(f"gains of more than {LIMIT:.0%} over chance: {'; '.join(missed)}")


def measure(rounds: int, tries: int) -> dict[str, Any]:
    """All settings; each has a generator of its own, so that one more changes no other."""
    settings = [
        (level, how, share)
        for level in LEVELS
        for how in Behaviour
        if how is not Behaviour.CAREFUL or level.seats > 1
        for share in SHARES
    ]
    return {
        "seed": SEED,
        "rounds": rounds,
        "draws_each": tries,
        "stakes": {"slash": SLASH, "silent": SILENT, "check": CHECK, "reward": STAKES.reward, "cost": STAKES.cost},
        "jobs": [
            job(level, STAKES, how, share, np.random.default_rng([SEED, i]), rounds)
            for i, (level, how, share) in enumerate(settings)
        ],
        "sweep": [
            job(
                LEVELS[0],
                Stakes(slash, SILENT, check, reward=1.0, cost=1.0),
                Behaviour.LAZY,
                0.3,
                np.random.default_rng([SEED, 1000 + i]),
                rounds,
            )
            | {"check": check, "slash": slash}
            for i, (slash, check) in enumerate((s, c) for s in SWEPT_SLASHES for c in SWEPT_CHECKS)
        ],
        "draws": against_the_draw(tries),
    }


def job(
    level: Level, stakes: Stakes, how: Behaviour, share: float, rng: np.random.Generator, rounds: int
) -> dict[str, Any]:
    """One setting: how often a lie is caught or stands, and what honesty earns more."""
    mine = round(share * PLACES)
    people = draws.crowd(share, mine, PLACES - mine, rng)
    outcome = play(people, level, stakes, how, rng, rounds)
    lies, caught = int(outcome.lied.sum()), int(outcome.caught().sum())
    wrong = int(outcome.wrong.sum())
    row: dict[str, Any] = {"level": str(level), "behaviour": how.value, "share": share, "lies": lies}
    row["caught"] = rate(caught, lies) if lies else None
    row["wrong_stands"] = rate(wrong, rounds)
    row["honest_minus_dishonest"] = difference(outcome) if share else None
    return row


def rate(hits: int, of: int) -> list[float]:
    """A share and its 95% interval (Wilson): rare events keep a sensible one."""
    p, z2 = hits / of, Z * Z / of
    middle, half = (p + z2 / 2) / (1 + z2), Z * np.sqrt(p * (1 - p) / of + z2 / (4 * of)) / (1 + z2)
    return [round(float(x), 6) for x in (p, max(0.0, middle - half), min(1.0, middle + half))]


def difference(outcome: Outcome) -> list[float]:
    """Profit per honest seat less that per dishonest one, and the half-width of its 95% interval.

    Seats of one job share its fate, so jobs are what is sampled: the interval is that of a ratio of sums over jobs.
    """
    honest, honest_error = per_seat(outcome.profit, ~outcome.dishonest)
    theirs, their_error = per_seat(outcome.profit, outcome.dishonest)
    return [round(float(honest - theirs), 5), round(float(Z * np.hypot(honest_error, their_error)), 5)]


def per_seat(profit: NDArray[np.float64], seats: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean over the seats that are meant, and its standard error."""
    sums, counts = (profit * seats).sum(axis=1), seats.sum(axis=1)
    mean = sums.sum() / counts.sum()
    return float(mean), float(np.sqrt(((sums - mean * counts) ** 2).sum()) / counts.sum())


def against_the_draw(tries: int) -> list[dict[str, Any]]:
    """What coalitions get, beside the chance that their stake gives them. `limited`: it must not gain over that."""
    rows: list[dict[str, Any]] = []
    rng = np.random.default_rng([SEED, 5000])

    def note(attack: str, share: float, seats: int, got: float, chance: float, **more: Any) -> None:
        row = {"attack": attack, "share": share, "seats": seats, "got": round(got, 5), "chance": round(chance, 5)}
        rows.append({**row, "gain": round(got - chance, 5), "limited": True, **more})

    for share in (0.1, 0.3, 0.5):
        for seats, quorum in ((1, 1), (3, 2), (5, 3)):
            chance = decides(share, seats, quorum)
            for identities in (1, 10, 1000):
                people = draws.crowd(share, identities, PLACES, rng)
                held = draws.held(people, draws.seated(people, draws.points(rng, tries, seats), seats))
                note(f"stake in {identities} identities", share, seats, float((held >= quorum).mean()), chance)
            people = draws.crowd(share, 10, PLACES, rng, declared=True)
            numbers = draws.points(rng, tries // 10, seats + 9)
            held = draws.held(people, draws.seated(people, numbers, seats))
            most = int(held.max())
            note("10 identities, declared", share, seats, float((held >= quorum).mean()), chance, most_seats=most)
        people = draws.crowd(share, 300, PLACES, rng)
        for seats, quorum in ((1, 1), (3, 2)):
            chance = decides(share, seats, quorum)
            campaign = draws.withhold(people, rng, tries // 10, seats, quorum, 0.1, 10)
            got = float(campaign.won.sum() / campaign.draws.sum())
            price = float(campaign.fees.sum() / campaign.won.sum())
            note("unwanted draws not delivered, per draw", share, seats, got, chance, fees_per_win=round(price, 3))
            for part in (0.01, 0.03, 0.3):
                blind = draws.skip(people, rng, tries, seats, quorum, part, knows_secret=False)
                note(f"proposer of {part:.0%} skips", share, seats, float(blind.won.mean()), chance)
                told = draws.skip(people, rng, tries, seats, quorum, part, knows_secret=True)
                name = f"proposer of {part:.0%}, told the secret, skips"
                skipped = round(float(told.skipped.mean()), 4)
                note(name, share, seats, float(told.won.mean()), chance, limited=part < 0.04, skipped=skipped)
            moved = draws.move_stake(people, rng, tries, seats, quorum, remembered=True)
            note("stake moved after the seed", share, seats, float(moved.mean()), chance)
            moved = draws.move_stake(people, rng, tries, seats, quorum, remembered=False)
            name = "control: stake moved, weights of the moment"
            note(name, share, seats, float(moved.mean()), chance, limited=False)
        note_large(note, share, rng, tries)
        for seats, quorum in ((1, 1), (2, 2), (3, 2), (4, 3), (5, 3)):
            campaign = draws.empty_seats(people, rng, tries // 4, seats, quorum, 50)
            free = economics.redraw_for_free(seats, quorum)
            got = float(campaign.won.mean())
            note(
                f"own seats emptied, quorum {quorum}",
                share,
                seats,
                got,
                decides(share, seats, quorum),
                limited=not free,
            )
    return rows


def note_large(note: Callable[..., None], share: float, rng: np.random.Generator, tries: int) -> None:
    """A coalition in 300 places, with half of all other stake in two hands: what is left after them is smaller."""
    ours = draws.crowd(share, 300, PLACES, rng)
    two = int(ours.weights[~ours.mine].sum()) // 4
    weights = np.where(ours.mine, ours.weights, ours.weights // 2)
    people = draws.Crowd(np.append(weights, [two, two]), np.append(ours.mine, [False, False]))
    for seats, quorum in ((1, 1), (3, 2), (5, 3)):
        held = draws.held(people, draws.seated(people, draws.points(rng, tries, seats), seats))
        chance = decides(share, seats, quorum)
        got = float((held >= quorum).mean())
        note("half of the others' stake in two places", share, seats, got, chance, limited=seats == 1)


def decides(share: float, seats: int, quorum: int) -> float:
    """Chance of a quorum for a share of the stake in small places."""
    held = economics.seats_held_by_share(Fraction(share).limit_denominator(1000), seats)
    return float(economics.chance_of_quorum(held, quorum))


def with_tables(text: str, results: dict[str, Any]) -> str:
    """The page with its generated tables replaced."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: make bench-economics -->", f"<!-- end {name} -->"
        head, _, rest = text.partition(begin)
        _, found, tail = rest.partition(end)
        if not found:
            sys.exit(f"{PAGE.name} lacks the marks {begin} … {end}")
        text = "\n".join([head + begin, *table(results), end + tail])
    return text


def of_bounds(_results: dict[str, Any]) -> list[str]:
    """What a slash demands of the checks, and what it pays for; from the formulas alone."""
    committees = {"ATTESTED": (1, 1), "AGREED(3, 2)": (3, 2), "AGREED(5, 3)": (5, 3)}
    lines = [
        "| slash s | p must exceed | if pay were held back | left for rewards: " + " | ".join(committees) + " |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for slash in (5, 6, 8, 10, 12, 20):
        s = Fraction(slash)
        cells = [
            str(slash),
            f"{float(economics.lowest_chance(s)):.1%}",
            f"{float(economics.lowest_chance(s, paid_first=False)):.1%}",
        ]
        for seats, quorum in committees.values():
            referees = economics.referees_of(seats)
            covered = economics.slash_needed(seats, quorum, Fraction(0), referees) <= s
            cells.append(f"{float(quorum * s / 2 - seats):g}" + (f", {referees} referees" if covered else ""))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def of_jobs(results: dict[str, Any]) -> list[str]:
    """One row per level, behaviour and shown share."""
    lines = [
        "| level | dishonest workers | of stake | lies caught | honest less dishonest, per seat | wrong, and stands |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in results["jobs"]:
        if row["share"] not in SHOWN:
            continue
        caught, (gain, half), (wrong, low, high) = row["caught"], row["honest_minus_dishonest"], row["wrong_stands"]
        cells = [
            row["level"],
            row["behaviour"],
            f"{row['share']:.0%}",
            f"{caught[0]:.1%} ({caught[1]:.1%} to {caught[2]:.1%})" if caught else "-",
            f"{gain:+.3f} ± {half:.3f}",
            f"{wrong:.2%} ({low:.2%} to {high:.2%})",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def of_draws(results: dict[str, Any]) -> list[str]:
    """The worst of the three shares for every attack."""
    lines = [
        "| what a coalition tries | seats | stake | decides | chance | gain, points | costs it | at most 1 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    worst: dict[tuple[str, int], dict[str, Any]] = {}
    for row in results["draws"]:
        best = worst.setdefault((row["attack"], row["seats"]), row)
        if row["gain"] > best["gain"]:
            worst[row["attack"], row["seats"]] = row
    order = list(dict.fromkeys(row["attack"] for row in results["draws"]))
    for row in sorted(worst.values(), key=lambda found: order.index(found["attack"])):
        cost = "-"
        if "fees_per_win" in row:
            cost = f"{row['fees_per_win']:.2f} prices per job decided"
        elif row.get("skipped"):
            cost = f"{row['skipped']:.3f} blocks per job"
        cells = [
            f"{row['attack']} | {row['seats']} | {row['share']:.0%} | {row['got']:.2%} | {row['chance']:.2%}",
            f"{100 * row['gain']:+.2f}",
            cost,
            "yes" if row["gain"] <= LIMIT else "**no**",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


TABLES = {"economics-bounds": of_bounds, "economics-jobs": of_jobs, "economics-draws": of_draws}
COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#6b7280")


def drawn(results: dict[str, Any]) -> str:
    """Two panels: what laziness loses by the share of checks, and wrong answers that stand by colluding stake."""
    height, top, bottom, wide = 330, 46, 270, 290
    parts = []

    def panel(left: int, title: str, below: str, xs: tuple[float, float], ys: tuple[float, float], ticks: Any) -> Any:
        def at(x: float, y: float) -> tuple[float, float]:
            across = left + wide * (x - xs[0]) / (xs[1] - xs[0])
            return round(across, 1), round(bottom - (bottom - top) * (y - ys[0]) / (ys[1] - ys[0]), 1)

        parts.append(f'<text x="{left}" y="24" font-weight="bold">{title}</text>')
        parts.append(f'<text x="{left + wide / 2}" y="{bottom + 34}" text-anchor="middle">{below}</text>')
        for y, label in ticks:
            height_at = at(xs[0], y)[1]
            parts.append(f'<path d="M{left} {height_at}H{left + wide}" stroke="#e5e7eb"/>')
            parts.append(f'<text x="{left - 6}" y="{height_at + 4}" text-anchor="end">{label}</text>')
        for part in range(6):
            x = xs[0] + part * (xs[1] - xs[0]) / 5
            parts.append(f'<text x="{at(x, 0)[0]}" y="{bottom + 16}" text-anchor="middle">{x:.0%}</text>')
        return at

    ticks = [(y, f"{y:+d}" if y else "0") for y in range(-1, 5)]
    at = panel(50, "honest less lazy, prices per seat", "share of answers that are checked", (0, 0.5), (-1, 4), ticks)
    x0, y0 = at(0, 0)
    parts.append(f'<path d="M{x0} {y0}h{wide}" stroke="#374151"/>')
    for slash, colour in zip(SWEPT_SLASHES, COLOURS, strict=False):
        end = min(0.5, 5 / slash)
        (x1, y1), (x2, y2) = at(0, -1), at(end, end * slash - 1)
        parts.append(f'<path d="M{x1} {y1}L{x2} {y2}" stroke="{colour}" fill="none"/>')
        parts.append(
            f'<text x="{x2 - 44}" y="{y2 - 6 if end < 0.5 else y2 - 10}" style="fill:{colour}">s = {slash:g}</text>'
        )
        for row in results["sweep"]:
            gain = row["honest_minus_dishonest"][0]
            if row["slash"] == slash and gain <= 4.1:
                x, y = at(row["check"], gain)
                parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
    ticks = [(y / 100, f"{y}%") for y in range(0, 51, 10)]
    at = panel(410, "wrong answers that stand, of all jobs", "stake that colludes", (0, 0.5), (0, 0.5), ticks)
    for level, colour in zip(LEVELS, COLOURS, strict=True):
        rows = [r for r in results["jobs"] if r["level"] == str(level) and r["behaviour"] == Behaviour.BOLD.value]
        line = [at(row["share"], row["wrong_stands"][0]) for row in rows]
        parts.append(
            f'<path d="M{"L".join(f"{x} {y}" for x, y in line)}" stroke="{colour}" fill="none" stroke-width="1.5"/>'
        )
        y = top + 12 + 15 * LEVELS.index(level)
        parts.append(
            f'<path d="M416 {y - 4}h14" stroke="{colour}" stroke-width="2"/><text x="436" y="{y}">{level}</text>'
        )
    style = "text{font:12px system-ui,sans-serif;fill:#374151}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="730" height="{height}" viewBox="0 0 730 {height}" role="img" '
        f'aria-label="What laziness loses, and wrong answers that stand">\n<style>{style}</style>\n'
        f'<rect width="730" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    main()
