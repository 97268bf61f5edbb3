"""Compare statistics and scaling with other libraries; prints tables.

    python benchmarks/scaling.py [--repeat N] [--threads N] [--accuracy]

Times are the best of N, with the contestants taking turns. torch is used if installed.
"""

import argparse
import math
import time
from fractions import Fraction

import numpy as np

import fastgrad as fg

try:
    import torch
except ImportError:
    torch = None

SHAPES = [(200_000, 50), (1_000_000, 8), (20_000, 1000)]


def best(contestants, repeat):
    """Return the shortest time of each, in milliseconds.

    A pause before each lets the threads of the one before stop spinning.
    """
    times = dict.fromkeys(contestants, math.inf)
    for _ in range(repeat):
        for name, run in contestants.items():
            time.sleep(0.02)
            start = time.perf_counter()
            run()
            times[name] = min(times[name], 1e3 * (time.perf_counter() - start))
    return times


def show(title, times, unit):
    print(f"\n{title}")
    for name, ms in times.items():
        print(f"  {name:28s} {ms:9.2f} ms {ms / times[unit]:8.2f} x {unit}")


def fit_contestants(x, threads):
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(1)
    gaps = np.where(rng.random(x.shape) < 0.01, np.nan, x).astype(x.dtype)
    weights = rng.random(len(x)) + 0.5
    other, column_major = np.empty_like(x), np.asfortranarray(x)
    ours = fg.StandardScaler(num_threads=threads)
    contestants = {
        "memcpy": lambda: np.copyto(other, x),
        "fastgrad": lambda: ours.fit(x),
        "fastgrad, F order": lambda: ours.fit(column_major),
        "fastgrad, 1% NaN": lambda: ours.fit(gaps),
        "fastgrad, weights": lambda: ours.fit(x, sample_weight=weights),
        "scikit-learn": lambda: StandardScaler().fit(x),
        "numpy std (input dtype)": lambda: np.std(x, axis=0),
    }
    if torch:
        tensor = torch.from_numpy(x)
        contestants["torch var_mean"] = lambda: torch.var_mean(tensor, dim=0)
    return contestants


def transform_contestants(x, threads):
    from sklearn.preprocessing import StandardScaler

    ours, theirs = (
        fg.StandardScaler(num_threads=threads).fit(x),
        StandardScaler().fit(x),
    )
    out = np.empty_like(x)
    return {
        "fastgrad": lambda: ours.transform(x),
        "fastgrad, out=": lambda: ours.transform(x, out=out),
        "scikit-learn": lambda: theirs.transform(x),
    }


def digits(found, values):
    """Return correct digits of a standard deviation, by exact arithmetic."""
    exact = [Fraction(float(v)) for v in values]
    mean = sum(exact) / len(exact)
    variance = sum((v - mean) ** 2 for v in exact) / len(exact)
    # (found^2 - variance) / (2 variance) is the relative error of found.
    error = abs((Fraction(float(found)) ** 2 - variance) / (2 * variance))
    return min(17.0, -math.log10(error)) if error else 17.0


def show_accuracy():
    from sklearn.preprocessing import StandardScaler

    print("\ncorrect digits of the standard deviation, 20,000 values N(offset, 1)")
    noise = np.random.default_rng(3).standard_normal((20_000, 1))
    for offset in (0.0, 1e4, 1e6, 1e8):
        x = noise + offset
        row = {}
        for name, make in (
            ("fastgrad", fg.StandardScaler),
            ("sklearn", StandardScaler),
        ):
            for batch in (1, 100, len(x)):
                scaler = make()
                for start in range(0, len(x), batch):
                    scaler.partial_fit(x[start : start + batch])
                row[f"{name}/{batch}"] = digits(scaler.scale_[0], x[:, 0])
        print(f"  {offset:8.0e}", *(f"{k}: {v:.1f}" for k, v in row.items()), sep="  ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--accuracy", action="store_true")
    options = parser.parse_args()
    if options.accuracy:
        show_accuracy()
        return
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        for dtype in (np.float32, np.float64):
            x = rng.standard_normal(shape).astype(dtype)
            label = f"{shape[0]} x {shape[1]} {np.dtype(dtype)}"
            times = best(fit_contestants(x, options.threads), options.repeat)
            show(f"fit, {label}", times, "memcpy")
            ratio = times["scikit-learn"] / times["fastgrad"]
            print(f"  scikit-learn / fastgrad {ratio:.1f}")
            times = best(transform_contestants(x, options.threads), options.repeat)
            show(f"transform, {label}", times, "fastgrad")


if __name__ == "__main__":
    main()
