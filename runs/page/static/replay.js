// Replay: plays charts, tree and hours forward over the time of the run, from what stands on the page.
"use strict";
(() => {
  const FRAME_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 66;
  let moment = Infinity, timer = 0, last = 0, known = null;  // moment: the hours that are shown; Infinity: all there are
  const get = (id) => document.getElementById(id);
  const clock = (hours) => `${Math.floor(hours)}:${String(Math.floor(hours * 60) % 60).padStart(2, "0")}:${String(Math.floor(hours * 3600) % 60).padStart(2, "0")}`;
  const chart = () => known ??= JSON.parse(get("chart-data").textContent);
  // Shows the attempts that had begun; returns the names of those that were open.
  function showTree() {
    const open = [], rows = [...get("attempts").rows], states = [];
    for (const row of rows) {
      const [from, until = Infinity] = row.dataset.span.split(" ").map(Number), began = from <= moment;
      const isOpen = began && (until > moment || until === Infinity);
      states.push([!began, isOpen && moment !== Infinity]);
      if (isOpen) open.push(`attempt ${row.children[1].textContent} (${row.children[2].textContent})`);
    }
    const mark = (each, [isLater, isOpen]) => { each.classList.toggle("later", isLater); each.classList.toggle("open", isOpen); };
    rows.forEach((row, place) => mark(row, states[place]));
    for (const each of document.querySelectorAll(".graph [data-row]")) mark(each, states[each.dataset.row]);
    const newest = rows.findLast((_, place) => !states[place][0]), box = newest?.closest(".scroll");
    if (box && timer) box.scrollTop = newest.offsetTop - box.clientHeight + 2 * newest.offsetHeight;
    return open;
  }
  function words(hours, open) {
    const { end, evaluations, usage, money } = chart(), scored = evaluations.filter((each) => each[0] <= hours);
    const best = scored.filter((each) => each[6]).sort((a, b) => a[0] - b[0]).at(-1);
    const spent = usage.cost[usage.hours.findLastIndex((each) => each <= hours)] || 0;
    const texts = [`${clock(hours)} of ${clock(end)}`, best ? `best ${best[7]} (${best[4]})` : "no score yet", `${scored.length} scored evaluations`];
    return [...texts, ...(money ? [money + spent.toFixed(2)] : []), open.join(", ") || "no open attempt"].join(" · ");
  }
  function show() {
    const { end } = chart(), hours = Math.min(moment, end), share = end ? hours / end : 1, slider = get("replay-moment");
    const text = words(hours, showTree());
    showChartsUntil(moment);
    for (const rect of document.querySelectorAll(".strip .later")) { rect.setAttribute("x", `${share * 100}%`); rect.setAttribute("width", `${(1 - share) * 100}%`); }
    slider.value = Math.round(share * 1000);
    if (!timer) slider.setAttribute("aria-valuetext", text);  // while it plays, a screen reader would read on and on
    get("replay-now").textContent = text;
    get("s-replay").classList.toggle("on", moment !== Infinity);
    document.querySelector("[data-act=replay]").textContent = timer ? "Pause replay" : "Play";
  }
  function stop() { clearInterval(timer); timer = 0; show(); }
  function go(hours) { moment = hours >= chart().end ? Infinity : hours; }
  function step() {
    const now = performance.now();
    go(moment + chart().end * (now - last) / 1000 / Number(get("replay-speed").value));
    last = now;
    if (moment === Infinity) stop(); else show();
  }
  function toggle() {
    if (!get("s-replay")) return;
    if (timer) { stop(); return; }
    if (moment === Infinity) moment = 0;
    last = performance.now();
    timer = setInterval(step, FRAME_MS);
    show();
  }
  document.addEventListener("click", (event) => { if (event.target.closest("[data-act=replay]")) toggle(); });
  document.addEventListener("input", (event) => { if (event.target.id === "replay-moment") { go(event.target.value / 1000 * chart().end); show(); } });
  document.addEventListener("drawn", () => { known = null; if (moment !== Infinity) show(); });
  window.harnessKeys.p = toggle;
})();
