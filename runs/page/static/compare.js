// Draws the best scores of two runs over time.
"use strict";
(() => {
  const lines = JSON.parse(document.getElementById("compare-data").textContent);
  const box = document.getElementById("chart-compare"), color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  let plot = null;
  function draw() {
    const tables = lines.map((line) => [line.map((point) => point[0]), line.map((point) => point[1])]);
    const data = uPlot.join(tables.map(([x, y]) => [x.length ? x : [0], y.length ? y : [null]]));
    const axis = { stroke: color("soft"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line") } };
    const line = (name) => ({ stroke: color(name), width: 2, spanGaps: true, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } });
    plot?.destroy();
    plot = new uPlot({ width: box.clientWidth, height: 280, legend: { show: false }, scales: { x: { time: false } }, axes: [{ ...axis, values: (_, splits) => splits.map((v) => `${+v.toFixed(2)} h`) }, { ...axis, size: 64 }], series: [{}, line("accent"), line("endpoint")] }, data, box);
    document.body.dataset.drawn = "yes";
  }
  draw();
  document.addEventListener("themechange", draw);
  addEventListener("resize", draw);
})();
