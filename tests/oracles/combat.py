"""ComBat feature by feature and site by site, from Johnson et al. 2007, section 3."""

import math

import numpy as np


def combat(y, site, age):  # type: ignore[no-untyped-def]
    """(N, F) features, sites and ages of N subjects -> alpha, sigma, gamma*, delta* by site."""
    n, features = y.shape
    sites = sorted(set(site))
    mean_age = sum(age) / n
    alpha, sigma, z = [], [], [[0.0] * features for _ in range(n)]
    for f in range(features):
        rows = [[float(s == t) for t in sites] + [a - mean_age] for s, a in zip(site, age)]
        x = np.array(rows)
        b = np.linalg.solve(x.T @ x, x.T @ y[:, f])
        alpha.append(sum(list(site).count(s) * b[k] for k, s in enumerate(sites)) / n)
        residual = [y[i, f] - sum(x[i] * b) for i in range(n)]
        sigma.append(math.sqrt(sum(r * r for r in residual) / n))
        for i in range(n):
            z[i][f] = (y[i, f] - alpha[f] - (age[i] - mean_age) * b[-1]) / sigma[f]
    estimates = {}
    for s in sites:
        own = [z[i] for i in range(n) if site[i] == s]
        means = [sum(row[f] for row in own) / len(own) for f in range(features)]
        spreads = [
            sum((row[f] - means[f]) ** 2 for row in own) / (len(own) - 1) for f in range(features)
        ]
        centre, m = sum(means) / features, sum(spreads) / features
        width = sum((v - centre) ** 2 for v in means) / (features - 1)
        v = sum((d - m) ** 2 for d in spreads) / (features - 1)
        shape, rate = m * m / v + 2, m**3 / v + m
        for f in range(features):
            gamma, delta = means[f], spreads[f]
            for _ in range(2000):
                gamma = (width * len(own) * means[f] + delta * centre) / (width * len(own) + delta)
                squares = sum((row[f] - gamma) ** 2 for row in own)
                delta = (rate + squares / 2) / (len(own) / 2 + shape - 1)
            estimates[s, f] = gamma, delta
    return alpha, sigma, estimates
