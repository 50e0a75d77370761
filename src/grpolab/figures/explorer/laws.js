// The closed forms of grpolab.theory that the explorer draws, held to the library by its tests.
"use strict";

function makeLaws(data) {
  const { nodes, weights } = data.quadrature; // Gauss-Legendre on (0, 1)
  const expit = (z) => 1 / (1 + Math.exp(-z));
  const logit = (p) => Math.log(p) - Math.log1p(-p);

  // ---- the normal law, for the probit model

  const density = (x) => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);

  function normalTail(x) { // P(Z > x) for x >= 0: a series, and a continued fraction far out
    if (x > 5) {
      let below = x;
      for (let n = 40; n > 0; n--) below = x + n / below;
      return density(x) / below;
    }
    let term = x, sum = x;
    for (let n = 3; term > 1e-17 * sum; n += 2) { term *= x * x / n; sum += term; }
    return 0.5 - density(x) * sum;
  }

  const normal = (x) => (x > 0 ? 1 - normalTail(x) : normalTail(-x));

  function normalQuantile(p) { // Newton on log P, concave, from a point below the root
    if (p > 0.5) return -normalQuantile(1 - p);
    let x = -Math.sqrt(-2 * Math.log(p));
    for (let i = 0; i < 60; i++) {
      const tail = normal(x), step = Math.log(p / tail) * tail / density(x);
      x += step;
      if (Math.abs(step) < 1e-14) break;
    }
    return x;
  }

  // ---- roots and minima

  function root(f, low, high) { // Ridders; the signs at the ends differ
    let flow = f(low), fhigh = f(high);
    if (flow === 0) return low;
    if (fhigh === 0) return high;
    let last = NaN;
    for (let i = 0; i < 100; i++) {
      const middle = (low + high) / 2, fmiddle = f(middle);
      const scale = Math.sqrt(fmiddle * fmiddle - flow * fhigh);
      if (scale === 0) return middle;
      const next = middle + (middle - low) * Math.sign(flow - fhigh) * fmiddle / scale;
      const fnext = f(next);
      if (fnext === 0 || Math.abs(next - last) < 1e-15 + 1e-13 * Math.abs(next)) return next;
      last = next;
      if (Math.sign(fmiddle) !== Math.sign(fnext)) {
        [low, flow, high, fhigh] = [middle, fmiddle, next, fnext];
      } else if (Math.sign(flow) !== Math.sign(fnext)) [high, fhigh] = [next, fnext];
      else [low, flow] = [next, fnext];
    }
    return last;
  }

  function minimum(f, low, high) { // golden section, for a function with one valley
    const share = (Math.sqrt(5) - 1) / 2;
    let left = high - share * (high - low), right = low + share * (high - low);
    let fleft = f(left), fright = f(right);
    while (high - low > 1e-9) {
      if (fleft < fright) {
        [high, right, fright] = [right, left, fleft];
        left = high - share * (high - low);
        fleft = f(left);
      } else {
        [low, left, fleft] = [left, right, fright];
        right = low + share * (high - low);
        fright = f(right);
      }
    }
    return (low + high) / 2;
  }

  // ---- groups: every model but the beta-binomial is a mixture of [weight, success rate]

  const mixtures = {
    copy: (m, rho) => [[rho * (1 - m), 0], [rho * m, 1], [1 - rho, m]],
    "common-source": (m, rho) => {
      const t = Math.sqrt(rho);
      return [[m, t + (1 - t) * m], [1 - m, (1 - t) * m]];
    },
    shock: (m, rho) => {
      const alive = m + rho * (1 - m);
      return [[rho * (1 - m) / alive, 0], [m / alive, alive]];
    },
    probit: probitAtoms,
  };

  function latentCorrelation(m, t, rho) { // Plackett: an integral over the arcsine of it
    const excess = (top) => {
      let sum = 0;
      for (let half = 0; half < 2; half++) {
        nodes.forEach((node, i) => {
          sum += weights[i] / 2 * Math.exp(-t * t / (1 + Math.sin(top * (half + node) / 2)));
        });
      }
      return top * sum / (2 * Math.PI) / (m * (1 - m)) - rho;
    };
    return Math.sin(root(excess, 0, Math.PI / 2));
  }

  function probitAtoms(m, rho) {
    const t = normalQuantile(m), r = latentCorrelation(m, t, rho);
    const reach = 9, panels = 18, edges = [];
    for (let i = 0; i <= panels; i++) edges.push(reach * (2 * i / panels - 1));
    for (let bend = -6; bend <= 6; bend += 2) { // where the success rate changes its course
      const z = (bend * Math.sqrt(1 - r) - t) / Math.sqrt(r);
      if (Math.abs(z) < reach) edges.push(z);
    }
    edges.sort((a, b) => a - b);
    const atoms = [];
    for (let i = 1; i < edges.length; i++) {
      const width = edges[i] - edges[i - 1];
      nodes.forEach((node, j) => {
        const z = edges[i - 1] + width * node;
        const score = (t + Math.sqrt(r) * z) / Math.sqrt(1 - r);
        atoms.push([width * weights[j] * density(z), normal(score)]);
      });
    }
    return atoms;
  }

  // Shares of groups whose rewards are all 0, all 1, and either.
  function zeroStd(model, g, m, rho) {
    let wrong = 0, right = 0;
    if (m <= 0 || m >= 1 || rho >= 1) {
      [wrong, right] = [1 - m, m];
    } else if (model === "iid" || rho <= 0) {
      [wrong, right] = [Math.pow(1 - m, g), Math.pow(m, g)];
    } else if (model === "beta-binomial") {
      [wrong, right] = [1 - m, m];
      for (let j = 1; j < g; j++) {
        wrong *= ((1 - m) * (1 - rho) + j * rho) / (1 - rho + j * rho);
        right *= (m * (1 - rho) + j * rho) / (1 - rho + j * rho);
      }
    } else {
      for (const [weight, p] of mixtures[model](m, rho)) {
        wrong += weight * Math.pow(1 - p, g);
        right += weight * Math.pow(p, g);
      }
    }
    return { wrong, right, total: wrong + right };
  }

  // Means between which at most half of the groups have equal rewards; null where there are none.
  function criticalP(model, g, rho) {
    const excess = (m) => zeroStd(model, g, m, rho).total - 0.5;
    const best = model === "shock" && rho > 0 ? minimum(excess, 0, 1) : 0.5;
    const least = excess(best);
    if (Math.abs(least) < 4e-15) return { low: best, high: best };
    if (least > 0) return null;
    return { low: root(excess, 0, best), high: root(excess, best, 1) };
  }

  const variance = (g, m, rho) => m * (1 - m) * (1 - rho) * (g - 1) / g;

  // ---- one prompt: what a trainer's advantages do on average

  const spread = (k, g, ddof) => Math.sqrt(k * (g - k) / Math.max(g * (g - ddof), 1));

  function advantage(rule, k, g, reward) {
    const others = g > 1 ? (k - reward) / (g - 1) : 0;
    const baseline = { mean: k / g, "leave-one-out": others, none: 0, half: 0.5 }[rule.baseline];
    const rest = Math.min(Math.max(k - reward, 0), g - 1);
    const scale = {
      none: 1, mean: k / g, half: 0.5, std: spread(k, g, rule.ddof),
      "leave-one-out-std": spread(rest, g - 1, rule.ddof) || 1 - rule.eps,
    }[rule.scale] + rule.eps;
    return scale > 0 ? (reward - baseline) / scale : 0;
  }

  const silent = (rule, g) => ({ // does a group with equal rewards leave the policy alone?
    wrong: advantage(rule, 0, g, 0) === 0, right: advantage(rule, g, g, 1) === 0,
  });

  function logFactorials(n) {
    const logs = [0];
    for (let i = 1; i <= n; i++) logs.push(logs[i - 1] + Math.log(i));
    return logs;
  }

  // p -> w(p) = E_{M ~ Bin(g-1, p)}[A+(M+1) - A-(M)], p inside (0, 1).
  function weight(rule, g) {
    const n = g - 1, logs = logFactorials(n), pull = [];
    for (let j = 0; j <= n; j++) {
      pull.push(advantage(rule, j + 1, g, 1) - advantage(rule, j, g, 0));
    }
    return (p) => {
      const yes = Math.log(p), no = Math.log1p(-p);
      let sum = 0;
      for (let j = 0; j <= n; j++) {
        sum += pull[j] * Math.exp(logs[n] - logs[j] - logs[n - j] + j * yes + (n - j) * no);
      }
      return sum;
    };
  }

  // The same in the limit of large groups: the baseline drops out of the difference.
  function limitWeight(rule, p) {
    const std = Math.sqrt(p * (1 - p));
    const scale = { none: 1, mean: p, half: 0.5, std, "leave-one-out-std": std }[rule.scale];
    return 1 / (scale + rule.eps);
  }

  // Mean-field updates from p to 1/2: the integral of dz/(rate p q w(p)); null from 1/2 on.
  function escapeTime(rule, g, start, rate) {
    if (start >= 0.5) return null;
    const low = logit(start), push = weight(rule, g), panels = Math.ceil(-low);
    let sum = 0;
    for (let panel = 0; panel < panels; panel++) {
      nodes.forEach((node, i) => {
        const p = expit(low * (1 - (panel + node) / panels));
        sum += weights[i] / panels / (p * (1 - p) * push(p));
      });
    }
    return -low * sum / rate;
  }

  return { criticalP, escapeTime, expit, limitWeight, logit, silent, variance, weight, zeroStd };
}
