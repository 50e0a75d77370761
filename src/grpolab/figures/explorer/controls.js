// State of the page: from the address, to the address, and into words.
"use strict";

(() => {
  const START = { g: 8, p: 0.151, rho: 0.2, model: "beta-binomial", rule: "trl", rate: 0.1, stretch: 0 };
  const SIZES = [2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128, 192,
    256, 384, 512, 768, 1024];
  const BATCH = 32; // groups that the sentence speaks of
  const laws = makeLaws(DATA), charts = makeCharts(laws);
  const at = (id) => document.getElementById(id);

  // Sliders run on scales of their own; the number beside each of them is exact.
  const nearest = (g) => SIZES.reduce((best, n, i) =>
    (Math.abs(Math.log(n / g)) < Math.abs(Math.log(SIZES[best] / g)) ? i : best), 0);
  const SLIDERS = {
    g: { ends: [0, SIZES.length - 1], to: nearest, from: (x) => SIZES[x] },
    p: { ends: [-7, 7], to: laws.logit, from: (x) => +laws.expit(x).toFixed(x > -4.5 ? 3 : 4) },
    rho: { ends: [0, 1], to: (v) => v, from: (x) => x },
    rate: { ends: [-3, 0], to: Math.log10, from: (x) => +(10 ** x).toPrecision(2) },
  };
  const MODEL_WORDS = {
    iid: "One prompt and a fixed policy: always independent.",
    "beta-binomial": "Success rates of prompts follow a beta law; exact for mode collapse.",
    copy: "With chance rho one draw is copied to the whole group: a shared seed.",
    "common-source": "Each rollout repeats a common one with chance sqrt(rho).",
    probit: "A normal factor shared by the group moves its success rate.",
    shock: "A grader failure marks the whole group wrong; close to the worst case for small p.",
  };
  let state = { ...START };
  let chosen = null; // one of the reader's own results
  const results = []; // what `grpolab audit --json` wrote, one entry per input

  function readAddress() {
    const words = new URLSearchParams(location.hash.slice(1));
    const next = { ...START };
    for (const [name, value] of words) {
      if (name in next) next[name] = typeof START[name] === "number" ? Number(value) : value;
    }
    state = tidy(next);
  }

  function tidy(s) { // what is out of range goes to the nearest end, what is unknown to the start
    const inside = (name) => {
      const [low, high] = [Number(at(name).min), Number(at(name).max)];
      return Number.isFinite(s[name]) ? Math.min(Math.max(s[name], low), high) : START[name];
    };
    const known = (name) => ([...at(name).options].some((o) => o.value === s[name]) ? s[name] : START[name]);
    return {
      g: Math.round(inside("g")), p: inside("p"), rho: inside("rho"), rate: inside("rate"),
      model: known("model"), rule: known("rule"), stretch: s.stretch ? 1 : 0,
    };
  }

  function writeAddress() {
    const words = new URLSearchParams(state);
    try { history.replaceState(null, "", `#${words}`); } catch { /* a page in a sandbox has none */ }
  }

  function showControls(active) {
    for (const [name, scale] of Object.entries(SLIDERS)) {
      const box = at(name), slider = at(`${name}-slider`);
      if (box !== active) box.value = state[name];
      if (slider !== active) slider.value = scale.to(state[name]);
      slider.setAttribute("aria-valuetext", String(state[name]));
    }
    for (const name of ["model", "rule"]) at(name).value = state[name];
    at("stretch").checked = Boolean(state.stretch);
    for (const box of [at("rho"), at("rho-slider")]) box.disabled = state.model === "iid";
    at("model-words").textContent = MODEL_WORDS[state.model];
    at("rule-words").textContent = `A = ${DATA.rules[state.rule].words}`;
  }

  // ---- the reader's own results

  function readAudit(text) { // inputs of an audit; null where the text is none
    let read;
    try { read = JSON.parse(text); } catch { return null; }
    const inputs = Array.isArray(read?.inputs) ? read.inputs : [];
    return inputs.length && inputs.every((one) => one && typeof one.zero_std === "object"
      && typeof one.mean_reward === "number") ? inputs : null;
  }

  function addResults(inputs) { // show the first of them
    const before = results.length;
    results.push(...inputs);
    const list = at("own");
    list.replaceChildren(new Option(results.length ? "not shown" : "none yet", ""));
    results.forEach((one, i) => list.append(new Option(one.label || `input ${i + 1}`, String(i))));
    choose(inputs.length ? before : -1);
  }

  function choose(index) {
    chosen = results[index] ?? null;
    at("own").value = chosen ? String(index) : "";
    at("own").disabled = results.length === 0;
    if (chosen) {
      const sizes = Object.keys(chosen.zero_std).map(Number);
      const near = (g) => Math.abs(Math.log(g / state.g));
      const g = sizes.length ? sizes.reduce((best, n) => (near(n) < near(best) ? n : best)) : state.g;
      const rho = Math.max(+(chosen.icc?.estimate ?? 0).toFixed(4), 0);
      state = tidy({ ...state, g, p: +chosen.mean_reward.toFixed(4), rho,
        model: rho > 0 ? "beta-binomial" : "iid" });
      at("own-words").textContent = `${chosen.num_prompts} prompts, ${chosen.num_samples} samples.`
        + (sizes.length ? "" : " They do not allow a forecast of groups.");
    } else {
      at("own-words").textContent = "Drop a file here that grpolab audit FILE --json wrote, or choose it.";
    }
    showControls();
    writeAddress();
    draw();
  }

  async function take(files) {
    for (const file of files) {
      const inputs = readAudit(await file.text());
      if (inputs) addResults(inputs);
      else at("own-words").textContent = `${file.name} is no output of grpolab audit --json.`;
    }
  }

  function ownAt(g) { // what the chosen results say of groups of g
    const plan = chosen?.zero_std[g];
    return plan && { mean: chosen.mean_reward, share: plan.predicted, low: plan.low, high: plan.high };
  }

  function showPlan(s) {
    const sizes = chosen ? Object.keys(chosen.zero_std).map(Number).sort((a, b) => a - b) : [];
    at("plan").hidden = at("own-caption").hidden = sizes.length === 0;
    if (!sizes.length) return;
    at("plan-title").textContent = `Group sizes for ${chosen.label}`;
    const cell = (words) => Object.assign(document.createElement("td"), { textContent: words });
    const held = [...at("plan-rows").querySelectorAll("button")].indexOf(document.activeElement);
    at("plan-rows").replaceChildren(...sizes.map((g) => {
      const plan = chosen.zero_std[g], row = document.createElement("tr"), mixed = plan.mixed_per_1000_rollouts;
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: g });
      button.addEventListener("click", () => change("g", g));
      button.setAttribute("aria-pressed", String(g === s.g));
      button.setAttribute("aria-label", `Show groups of ${g}`);
      const head = Object.assign(document.createElement("th"), { scope: "row" });
      head.append(button);
      row.append(head, ...[percent(plan.predicted), `${percent(plan.low)} to ${percent(plan.high)}`,
        percent(laws.zeroStd(s.model, g, s.p, s.rho).total), short(mixed),
        mixed > 0 ? short(1000 / mixed) : "none expected"].map(cell));
      return row;
    }));
    at("plan-rows").querySelectorAll("button")[held]?.focus(); // the keyboard stays where it was
    const rate = (g) => chosen.zero_std[g].mixed_per_1000_rollouts;
    const best = sizes.reduce((a, g) => (rate(g) > rate(a) ? g : a));
    at("plan-note").textContent = rate(best) > 0
      ? `Groups of ${best} give the most mixed groups per rollout: ${Math.ceil(100000 / rate(best)).toLocaleString("en")}`
        + " rollouts for 100 of them. A larger group makes each mixed group weigh more."
      : "These samples promise no mixed group at any of these sizes.";
  }

  // ---- numbers

  function solve() {
    const s = { ...state, rule: DATA.rules[state.rule], rho: state.model === "iid" ? 0 : state.rho };
    return { s, found: {
      zeroStd: laws.zeroStd(s.model, s.g, s.p, s.rho),
      alone: laws.zeroStd("iid", s.g, s.p, 0).total,
      critical: laws.criticalP(s.model, s.g, s.rho),
      variance: laws.variance(s.g, s.p, s.rho),
      varianceAlone: laws.variance(s.g, s.p, 0),
      weight: laws.weight(s.rule, s.g)(s.p),
      limit: laws.limitWeight(s.rule, s.p),
      escape: laws.escapeTime(s.rule, s.g, s.p, s.rate),
      silent: laws.silent(s.rule, s.g),
      own: ownAt(s.g),
    } };
  }

  const percent = (v) => (v > 0 && v < 0.001 ? "<0.1%" : `${(100 * v).toFixed(1)}%`);
  const short = (v) => (v >= 1000 ? Math.round(v).toLocaleString("en") : String(+v.toPrecision(3)));

  const place = (p) => (p > 0.9 ? p.toFixed(4) : p.toPrecision(3)); // a point on the p axis

  function put(id, value, words) { // the exact number stays with the rounded one
    at(id).value = value === null ? "" : String(value);
    at(id).textContent = words;
  }

  function showNumbers({ s, found }) {
    const { zeroStd, critical } = found;
    put("zero-std", zeroStd.total, percent(zeroStd.total));
    put("all-wrong", zeroStd.wrong, percent(zeroStd.wrong));
    put("all-right", zeroStd.right, percent(zeroStd.right));
    put("p-star", critical && critical.low, critical ? place(critical.low) : "no safe zone");
    at("p-star").className = critical ? "" : "words";
    at("p-star-note").textContent = critical
      ? `half are zero-std; again at ${place(critical.high)}` : "most are zero-std at every mean";
    put("variance", found.variance, short(found.variance));
    put("variance-iid", found.varianceAlone, short(found.varianceAlone));
    put("weight", found.weight, short(found.weight));
    put("weight-limit", found.limit, short(found.limit));
    put("escape", found.escape, found.escape === null ? "\u2013" : short(found.escape));
    at("escape-note").textContent = found.escape === null ? "p is there already"
      : `mean field at step size ${s.rate}`;
  }

  // ---- words

  const count = (share) => (share * BATCH < 0.5 ? "fewer than 1" : String(Math.round(share * BATCH)));

  function sentence({ s, found }) {
    const quiet = found.silent.wrong && found.silent.right;
    const without = quiet ? "without any signal" : "whose rewards are all equal";
    const whole = `Of ${BATCH} groups of ${s.g}, expect ${count(found.zeroStd.total)} ${without}`;
    const alone = s.rho > 0 ? `; the formula at the mean would say ${count(found.alone)}` : "";
    const own = found.own ? ` The samples of ${chosen.label} say ${count(found.own.share)}`
      + ` (${count(found.own.low)} to ${count(found.own.high)}).` : "";
    return `${whole}${split(found.zeroStd)}${alone}.${own}`;
  }

  function split({ wrong, total }) {
    if (total * BATCH < 0.5) return "";
    const share = wrong / total;
    if (share > 0.95) return ", nearly all of them all wrong";
    if (share < 0.05) return ", nearly all of them all right";
    return `, ${(100 * share).toFixed(0)}% of them all wrong`;
  }

  function advice({ s, found }) {
    const { critical, silent } = found, words = [];
    const mean = s.rho > 0 ? "mean" : "rate";
    if (!critical) words.push("No mean is safe here: at this correlation most groups have equal rewards everywhere.");
    else if (s.p < critical.low) words.push(`The ${mean} ${s.p} lies below p* = ${place(critical.low)}: most groups are lost.`);
    else if (s.p > critical.high) words.push(`The ${mean} ${s.p} lies above ${place(critical.high)}: most groups are lost, all right.`);
    else words.push(`The ${mean} ${s.p} lies between p* = ${place(critical.low)} and ${place(critical.high)}, where most groups hold both outcomes.`);
    if (!silent.wrong || !silent.right) {
      words.push("These advantages are not centred, so equal rewards still move the policy.");
    }
    words.push(`At ${s.p} an average update pushes a prompt ${short(found.weight)} times as hard as RLOO would.`);
    return words.join(" ");
  }

  function python(s) {
    const model = state.model === "iid" ? "" : `, rho=${s.rho}, model="${s.model}"`;
    return `grpolab.theory.critical_p(${s.g}${model})`;
  }

  // ---- drawing

  let waiting = false;
  function draw() { // at most once per frame, however fast a slider moves
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; drawNow(); });
  }

  function drawNow() {
    const solved = solve(), { s, found } = solved;
    showNumbers(solved);
    at("said").textContent = sentence(solved);
    at("advice").textContent = advice(solved);
    at("python").textContent = python(s);
    showPlan(s);
    charts.drawShare(at("share"), s, found);
    charts.drawPush(at("push"), s, found);
    at("share").setAttribute("aria-label",
      `Share of groups with equal rewards against the mean: ${percent(found.zeroStd.total)} at ${s.p}`);
    at("push").setAttribute("aria-label", `Weight w against p: ${short(found.weight)} at ${s.p}`);
  }

  function change(name, value, active) {
    state = tidy({ ...state, [name]: value });
    showControls(active);
    writeAddress();
    draw();
  }

  for (const [name, scale] of Object.entries(SLIDERS)) {
    const box = at(name), slider = at(`${name}-slider`);
    [slider.min, slider.max] = scale.ends;
    slider.addEventListener("input", () => change(name, scale.from(Number(slider.value)), slider));
    box.addEventListener("input", () => {
      if (box.value !== "" && box.validity.valid) change(name, box.valueAsNumber, box);
    });
    box.addEventListener("change", () => change(name, box.valueAsNumber));
  }
  for (const name of ["model", "rule"]) {
    at(name).addEventListener("change", () => change(name, at(name).value));
  }
  at("stretch").addEventListener("change", () => change("stretch", at("stretch").checked));
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", () => { readAddress(); showControls(); draw(); });
  window.addEventListener("resize", draw);

  at("own").addEventListener("change", () => choose(Number(at("own").value || -1)));
  at("file").addEventListener("change", () => take(at("file").files));
  for (const kind of ["dragover", "drop"]) {
    window.addEventListener(kind, (event) => {
      event.preventDefault();
      if (kind === "drop") take(event.dataTransfer.files);
    });
  }

  readAddress();
  const linked = location.hash.length > 1, setting = state;
  addResults(DATA.results);
  if (linked) state = setting; // an address says what to show, results or not
  showControls();
  drawNow();
})();
