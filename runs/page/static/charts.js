// Draws the charts of a run from the JSON in the page: scores, and usage over time.
"use strict";
(() => {
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const plots = new Map();
  let until = Infinity;  // the moment of a replay, in hours
  // Round steps of the time axis, in hours: seconds, minutes, hours.
  const STEPS = [...[1, 5, 10, 30].map((each) => each / 3600), ...[1, 2, 5, 10, 20, 30].map((each) => each / 60), 1, 2, 3, 6, 12, 24, 48, 96, 192];
  function axes(format, end) {
    const times = (_, splits) => {
      const [unit, name] = end >= 1.5 ? [1, "h"] : splits.length > 1 && splits[1] - splits[0] > 0.9 / 60 ? [60, "min"] : [3600, "s"];
      return splits.map((value) => `${+(value * unit).toFixed(2)} ${name}`);
    };
    const splits = (plot, _, low, high) => {
      const step = STEPS.find((each) => (high - low) / each <= plot.width / 80) ?? STEPS.at(-1), first = Math.ceil(low / step);
      return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, place) => (first + place) * step);
    };
    const common = { stroke: color("soft"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 }, font: "12px system-ui, sans-serif" };
    return [{ ...common, size: 30, splits, values: times }, { ...common, size: 64, values: (_, splits) => splits.map(format) }];
  }
  function put(id, options, data) {
    const box = document.getElementById(id);
    if (!box || !data[0].length) { if (box) box.textContent = "nothing yet"; return; }
    plots.get(id)?.destroy();
    box.textContent = "";
    const plot = new uPlot({ width: box.clientWidth || 600, cursor: { drag: { x: true, y: false } }, ...options }, upTo(data), box);
    plot.whole = data;
    plots.set(id, plot);
  }
  // Columns of numbers up to the moment of the replay; the last value holds until then.
  function upTo(data) {
    if (until >= data[0].at(-1)) return data;
    const count = data[0].findLastIndex((hours) => hours <= until) + 1;
    return data.map((column, place) => [...column.slice(0, count), place ? (count ? column[count - 1] : null) : until]);
  }
  function show(hours) {
    until = hours;
    for (const plot of plots.values()) { plot.setData(upTo(plot.whole)); }
  }
  // The range that shows the best line, the medals and most scores; a few very bad scores stay at the edge.
  function scoreRange(chart, best) {
    const scores = chart.evaluations.map((e) => e[1]).sort((a, b) => a - b);
    const at = (share) => scores[Math.floor((scores.length - 1) * share)];
    const shown = [...best, at(0.08), at(0.92), ...chart.medals.map((m) => m[1])].filter((v) => v !== null);
    const low = Math.min(...shown), high = Math.max(...shown), pad = (high - low) * 0.08 || Math.abs(high) * 0.01 || 1;
    return [low - pad, high + pad];
  }
  function drawMarks(plot, chart) {
    const ctx = plot.ctx, ratio = devicePixelRatio, box = plot.bbox;
    ctx.save();
    ctx.beginPath(); ctx.rect(box.left, box.top, box.width, box.height); ctx.clip();
    let last = -Infinity, left = 4;
    for (const [name, value] of [...chart.medals].sort((a, b) => b[1] - a[1])) {
      const y = plot.valToPos(value, "y", true);
      left = y - last < 12 * ratio ? left + 56 : 4;  // names of lines that are close stand beside each other
      last = y;
      ctx.strokeStyle = ctx.fillStyle = color(name);
      ctx.setLineDash([6 * ratio, 4 * ratio]); ctx.lineWidth = 1.3 * ratio;
      ctx.beginPath(); ctx.moveTo(box.left, y); ctx.lineTo(box.left + box.width, y); ctx.stroke();
      ctx.setLineDash([]); ctx.font = `${11 * ratio}px system-ui, sans-serif`;
      ctx.textAlign = "left"; ctx.textBaseline = "bottom"; ctx.fillText(name, box.left + left * ratio, y - ratio);
    }
    for (const [hours, score, noise, verdict] of chart.evaluations) {
      if (hours > until) break;
      const x = plot.valToPos(hours, "x", true);
      const edge = (y) => Math.min(box.top + box.height - 5 * ratio, Math.max(box.top + 5 * ratio, y));
      const y = edge(plot.valToPos(score, "y", true)), size = 3.6 * ratio;
      const tone = verdict === "real" || verdict === "first" ? color("good") : verdict === "unclear" ? color("soft") : color("bad");
      ctx.strokeStyle = ctx.fillStyle = tone; ctx.lineWidth = 1.4 * ratio;
      if (noise !== null && chart.evaluations.length <= 400) {
        ctx.globalAlpha = 0.3; ctx.beginPath();
        ctx.moveTo(x, edge(plot.valToPos(score - noise, "y", true))); ctx.lineTo(x, edge(plot.valToPos(score + noise, "y", true))); ctx.stroke();
        ctx.globalAlpha = 1;
      }
      ctx.beginPath();
      if (verdict === "worse") { ctx.moveTo(x - size, y - size); ctx.lineTo(x + size, y - size); ctx.lineTo(x, y + size); ctx.fill(); }
      else if (verdict === "distrusted") { ctx.moveTo(x - size, y - size); ctx.lineTo(x + size, y + size); ctx.moveTo(x + size, y - size); ctx.lineTo(x - size, y + size); ctx.stroke(); }
      else { ctx.arc(x, y, size, 0, 7); if (verdict === "unclear") { ctx.fillStyle = color("panel"); ctx.fill(); ctx.stroke(); } else ctx.fill(); }
    }
    ctx.restore();
  }
  function drawScore(chart) {
    const rows = [...chart.evaluations].sort((a, b) => a[0] - b[0]);
    let best = null, noise = null;
    const hours = [], line = [], low = [], high = [];
    for (const row of rows) {
      if (row[6]) { best = row[1]; noise = row[2]; }
      hours.push(row[0]); line.push(best);
      low.push(best === null || noise === null ? null : best - noise); high.push(best === null || noise === null ? null : best + noise);
    }
    if (rows.length) { hours.push(Math.max(chart.end, hours.at(-1))); line.push(best); low.push(low.at(-1)); high.push(high.at(-1)); }
    const stepped = uPlot.paths.stepped({ align: 1 }), [bottom, top] = rows.length ? scoreRange(chart, line) : [0, 1];
    const digits = Math.max(0, Math.min(8, 1 - Math.floor(Math.log10((top - bottom) || 1))));
    const clear = { stroke: "transparent", paths: stepped, points: { show: false } };
    put("chart-score", {
      height: innerWidth < 760 ? 240 : 320, legend: { show: false },
      scales: { x: { time: false, range: [0, Math.max(chart.end, 0.001)] }, y: { range: [bottom, top] } },
      axes: axes((value) => value.toFixed(digits), chart.end),
      series: [{}, { ...clear }, { ...clear }, { stroke: color("accent"), width: 2, paths: stepped, points: { show: false } }],
      bands: [{ series: [2, 1], fill: color("accent") + "2e" }],
      hooks: { draw: [(plot) => drawMarks(plot, { ...chart, evaluations: rows })] },
    }, [hours, low, high, line]);
  }
  function drawUsage(usage, end) {
    const charts = [["cost", (v) => `$${+v.toFixed(2)}`], ["prompt", (v) => `${Math.round(v / 1000)} k`], ["cached", (v) => `${Math.round(v * 100)} %`]];
    for (const [name, format] of charts) {
      put(`chart-${name}`, {
        height: 130, legend: { show: false }, axes: axes(format, end),
        scales: { x: { time: false, range: [0, Math.max(end, 0.001)] }, y: { range: name === "cached" ? [0, 1] : [0, Math.max(...usage[name]) * 1.05 || 1] } },
        series: [{}, { stroke: color("accent"), width: 1.5, points: { show: false } }],
      }, [usage.hours, usage[name]]);
    }
  }
  function draw() {
    const source = document.getElementById("chart-data");
    if (!source) return;
    const chart = JSON.parse(source.textContent);
    drawScore(chart);
    drawUsage(chart.usage, chart.end);
    document.body.dataset.drawn = chart.evaluations.length;
    document.dispatchEvent(new Event("drawn"));
  }
  window.drawCharts = draw;
  window.showChartsUntil = show;
  document.addEventListener("themechange", draw);
  let timer = 0;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(draw, 150); });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", draw); else draw();
})();
