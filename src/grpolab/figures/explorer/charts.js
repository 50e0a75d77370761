// Two charts as inline SVG, at one pixel per unit so that lettering keeps its size on a phone.
"use strict";

const COLOUR = { line: "#0072B2", other: "#E69F00", wrong: "#D55E00", right: "#009E73" };

function makeCharts(laws) {
  const END = 7; // the stretched axis runs over logit p = -7..7

  function frame(svg, { stretch, top, ticks, label }) {
    const width = svg.clientWidth, height = svg.clientHeight;
    const box = { left: 44, right: width - 14, top: 12, bottom: height - 40 };
    const share = (p) => (stretch ? (laws.logit(p) + END) / (2 * END) : p);
    const x = (p) => box.left + Math.min(Math.max(share(p), 0), 1) * (box.right - box.left);
    const y = (v) => box.bottom - Math.min(v / top, 1) * (box.bottom - box.top);
    const marks = stretch ? [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999] : [0, 0.2, 0.4, 0.6, 0.8, 1];
    const grid = ticks.map((v) => line(box.left, y(v), box.right, y(v), "#e6e9ee")
      + text(box.left - 7, y(v) + 4, v, "end"));
    const feet = marks.map((p) => line(x(p), box.bottom, x(p), box.bottom + 4, "#8b95a3")
      + text(x(p), box.bottom + 18, p, "middle"));
    const name = text((box.left + box.right) / 2, height - 4, label, "middle");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    return { box, x, y, top, parts: [...grid, ...feet, name] };
  }

  const line = (x1, y1, x2, y2, stroke, more = "") =>
    `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${stroke}" ${more}/>`;
  const text = (x, y, words, anchor, kind = "") =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}" class="${kind}">${words}</text>`;
  const trace = (f, points, value) =>
    points.map((p, i) => `${i ? "L" : "M"}${f.x(p).toFixed(2)} ${f.y(value[i]).toFixed(2)}`).join("");
  const curve = (f, points, value, stroke, more = "") =>
    `<path d="${trace(f, points, value)}" fill="none" stroke="${stroke}" stroke-width="2.2" ${more}/>`;
  const area = (f, points, low, high, fill) => {
    const back = trace(f, [...points].reverse(), [...low].reverse()).replace("M", "L");
    return `<path d="${trace(f, points, high)}${back}Z" fill="${fill}" fill-opacity="0.22"/>`;
  };
  const dashed = 'stroke-dasharray="6 4"';

  function samples(stretch) { // denser at both ends
    const even = Array.from({ length: 161 }, (_, i) => i / 160);
    if (stretch) return even.map((u) => laws.expit(END * (2 * u - 1)));
    return even.slice(1, -1).map((u) => Math.sin(Math.PI * u / 2) ** 2);
  }

  function mark(f, p, value, words) { // the present setting
    const cx = f.x(p), cy = f.y(value), left = cx > (f.box.left + f.box.right) / 2;
    const beside = text(cx + (left ? -12 : 12), Math.max(cy - 10, f.box.top + 12), words,
      left ? "end" : "start", "now");
    return line(cx, f.box.bottom, cx, cy, "#1c2430", 'stroke-width="1"')
      + `<circle cx="${cx}" cy="${cy}" r="5.5" fill="#1c2430" stroke="#fff" stroke-width="2"/>`
      + halo(beside);
  }

  const halo = (words) => words.replace("<text", '<text stroke="#fff" stroke-width="4" paint-order="stroke"');

  function own(f, { mean, share, low, high }) { // what the reader's own samples say
    const x = f.x(mean), y = f.y(share);
    return line(x, f.y(low), x, f.y(high), "#7a3b8f", 'stroke-width="2.5"')
      + `<path d="M${x} ${y - 7}L${x + 7} ${y}L${x} ${y + 7}L${x - 7} ${y}Z" fill="#7a3b8f" stroke="#fff" stroke-width="1.5"/>`;
  }

  function drawShare(svg, s, found) {
    const f = frame(svg, {
      stretch: s.stretch, top: 1, ticks: [0, 0.25, 0.5, 0.75, 1], label: "mean success rate p",
    });
    const points = samples(s.stretch);
    const law = points.map((p) => laws.zeroStd(s.model, s.g, p, s.rho));
    const total = law.map((v) => v.total), wrong = law.map((v) => v.wrong);
    const alone = points.map((p) => laws.zeroStd("iid", s.g, p, 0).total);
    f.parts.push(area(f, points, wrong.map(() => 0), wrong, COLOUR.wrong));
    f.parts.push(area(f, points, wrong, total, COLOUR.right));
    f.parts.push(text(f.box.left + 6, f.box.bottom - 6, "all wrong", "start", "inside-wrong"));
    f.parts.push(text(f.box.right - 6, f.box.bottom - 6, "all right", "end", "inside-right"));
    if (found.critical) {
      const { low, high } = found.critical;
      for (const p of [low, high]) {
        f.parts.push(line(f.x(p), f.box.top, f.x(p), f.box.bottom, "#5b6675", 'stroke-dasharray="2 3"'));
      }
      f.parts.push(halo(text(f.x(low) + 5, f.box.top + 10, `p* ${low.toPrecision(3)}`, "start")));
    } else {
      f.parts.push(halo(text(f.x(0.5), f.y(0.5) + 18, "no safe zone", "middle")));
    }
    f.parts.push(line(f.box.left, f.y(0.5), f.box.right, f.y(0.5), "#5b6675", 'stroke-width="1"'));
    if (s.rho > 0) f.parts.push(curve(f, points, alone, COLOUR.other, dashed));
    f.parts.push(curve(f, points, total, COLOUR.line));
    f.parts.push(mark(f, s.p, found.zeroStd.total, `${(100 * found.zeroStd.total).toFixed(1)}%`));
    if (found.own) f.parts.push(own(f, found.own));
    svg.innerHTML = f.parts.join("");
  }

  function drawPush(svg, s, found) {
    const points = samples(s.stretch), push = laws.weight(s.rule, s.g);
    const value = points.map(push), limit = points.map((p) => laws.limitWeight(s.rule, p));
    const most = 1.3 * Math.max(1, found.weight, ...value);
    const step = 10 ** Math.floor(Math.log10(most / 2));
    const gap = [1, 2, 5, 10].map((n) => n * step).find((n) => most / n <= 6);
    const ticks = [];
    for (let v = 0; v <= most; v += gap) ticks.push(+v.toPrecision(6));
    const f = frame(svg, { stretch: s.stretch, top: most, ticks, label: "success rate p of one prompt" });
    const inside = points.map((p, i) => i).filter((i) => limit[i] <= most);
    f.parts.push(curve(f, inside.map((i) => points[i]), inside.map((i) => limit[i]), COLOUR.other, dashed));
    f.parts.push(curve(f, points, value, COLOUR.line));
    f.parts.push(mark(f, s.p, found.weight, `w = ${found.weight.toPrecision(3)}`));
    svg.innerHTML = f.parts.join("");
  }

  return { drawPush, drawShare };
}
