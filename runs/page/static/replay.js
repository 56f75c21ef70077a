// Replay: plays charts, tree and hours forward over the time of the run, from what stands on the page.
"use strict";
(() => {
  const FRAME_MS = 66;
  let share = 1, timer = 0, last = 0;  // share: the moment as a part of the whole run
  const get = (id) => document.getElementById(id);
  const clock = (hours) => `${Math.floor(hours)}:${String(Math.floor(hours * 60) % 60).padStart(2, "0")}:${String(Math.floor(hours * 3600) % 60).padStart(2, "0")}`;
  const chart = () => JSON.parse(get("chart-data").textContent);
  function showTree(hours) {
    const open = [], marks = document.querySelectorAll(".graph [data-row]"), shown = [];
    let newest = null;
    for (const row of get("attempts").rows) {
      const [from, until] = row.dataset.span.split(" ").map(Number), began = share === 1 || from <= hours, ended = share === 1 || until <= hours;
      row.classList.toggle("later", !began);
      row.classList.toggle("open", began && !ended);
      shown.push(began);
      if (began) newest = row;
      if (began && !ended) open.push(`attempt ${row.children[1].textContent} (${row.children[2].textContent})`);
    }
    for (const mark of marks) mark.classList.toggle("later", !shown[mark.dataset.row]);
    const box = newest?.closest(".scroll");
    if (box && timer) box.scrollTop = newest.offsetTop - box.clientHeight + 2 * newest.offsetHeight;
    return open;
  }
  function words(hours, data, open) {
    const best = data.evaluations.filter((each) => each[6] && each[0] <= hours).sort((a, b) => a[0] - b[0]).at(-1);
    const count = data.evaluations.filter((each) => each[0] <= hours).length, at = data.usage.hours.findLastIndex((each) => each <= hours);
    return [`${clock(hours)} of ${clock(data.end)}`, best ? `best ${+best[1].toPrecision(5)} (${best[4]})` : "no score yet", `${count} scored evaluations`, `$${(data.usage.cost[at] || 0).toFixed(2)}`, open.join(", ") || "no open attempt"].join(" · ");
  }
  function show() {
    const data = chart(), hours = share * data.end, text = words(hours, data, showTree(hours)), moment = get("replay-moment");
    showChartsUntil(share === 1 ? Infinity : hours);
    for (const rect of document.querySelectorAll(".strip .later")) { rect.setAttribute("x", `${share * 100}%`); rect.setAttribute("width", `${(1 - share) * 100}%`); }
    moment.value = Math.round(share * 1000);
    moment.setAttribute("aria-valuetext", text);
    get("replay-now").textContent = text;
    get("s-replay").classList.toggle("on", share < 1);
    document.querySelector("[data-act=replay]").textContent = timer ? "Pause" : "Play";
  }
  function stop() { clearInterval(timer); timer = 0; show(); }
  function step() {
    const now = performance.now();
    share = Math.min(1, share + (now - last) / 1000 / Number(get("replay-speed").value));
    last = now;
    if (share === 1) stop(); else show();
  }
  function toggle() {
    if (!get("s-replay")) return;
    if (timer) { stop(); return; }
    if (share === 1) share = 0;
    last = performance.now();
    timer = setInterval(step, FRAME_MS);
    show();
  }
  document.addEventListener("click", (event) => { if (event.target.closest("[data-act=replay]")) toggle(); });
  document.addEventListener("input", (event) => { if (event.target.id === "replay-moment") { share = event.target.value / 1000; show(); } });
  document.addEventListener("drawn", () => { if (share < 1) show(); });
  window.harnessKeys.p = toggle;
})();
