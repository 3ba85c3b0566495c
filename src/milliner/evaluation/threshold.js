// The threshold slider: the counts between its stops are in the page, everything shown is recomputed from them.
(() => {
  "use strict";
  const find = (id) => document.getElementById(id);
  const section = find("operating");
  const data = JSON.parse(find("sweeps").textContent);
  const { step, plot, two } = data;
  const picker = find("about"), slider = find("threshold");
  let sweep, above;

  const percent = (value) => {
    if (value === 0 || value === 1) return (value * 100) + "\u00a0%";
    return Math.min(value * 100, 99.94999).toFixed(1) + "\u00a0%";
  };
  const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const short = (value) => (value >= 0.0995 && value <= 0.9005 ? value.toFixed(2) : value.toFixed(4));
  // Signs that turn the order of writing around would show another command than the one that is copied.
  const plain = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, (sign) => "\\u" + sign.charCodeAt(0).toString(16));
  const quoted = (text) => (/^[\w.\/=-]+$/.test(text) ? text : "'" + text.replaceAll("'", "'\\''") + "'");
  const fill = (name, text) => section.querySelectorAll(`[data-live="${name}"]`).forEach((each) => { each.textContent = text; });

  // Wilson's 95 % interval of a share, as everywhere in the page.
  const interval = (part, whole) => {
    const z2 = 3.841458820694124, share = part / whole, scale = 1 + z2 / whole;
    const centre = (share + z2 / (2 * whole)) / scale;
    const half = Math.sqrt(z2 * (share * (1 - share) / whole + z2 / (4 * whole * whole))) / scale;
    return [part === 0 ? 0 : centre - half, part === whole ? 1 : centre + half];
  };
  const between = (part, whole) => {
    if (!whole) return "";
    const [low, high] = interval(part, whole);
    return `${percent(low).slice(0, -2)} to ${percent(high)}`;
  };

  // What is called the class at each stop: the pictures from it upwards. The last entry is beyond the last stop.
  const upwards = (bins) => {
    const sums = new Array(bins.length).fill(0);
    for (let place = bins.length - 1, sum = 0; place >= 1; place--) sums[place - 1] = sum += bins[place];
    return sums;
  };
  const total = (bins) => bins.reduce((sum, each) => sum + each, 0);

  const x = (share) => (plot.left + plot.side * share).toFixed(1);
  const y = (share) => (plot.top + plot.side * (1 - share)).toFixed(1);
  const drawing = (name) => find(name + "-title").closest("svg");

  // One point a stop, the strictest first, and where everything is called the class as the end.
  const curves = () => {
    const { hits, alarms, positives, negatives } = above;
    const stops = hits.map((_, place) => hits.length - 1 - place);
    const points = stops.map((place) => [hits[place], alarms[place]]).concat([[positives, negatives]]);
    const roc = points.map(([hit, alarm]) => `${x(alarm / negatives)},${y(hit / positives)}`);
    drawing("live-roc").querySelector(".curve").setAttribute("d", "M" + [...new Set(roc)].join("L"));
    let path = "", recall = 0;
    for (const [hit, alarm] of points) {
      if (!hit) continue;
      const height = y(hit / (hit + alarm));
      path += `${path ? "L" : "M"}${x(recall)},${height}L${x(hit / positives)},${height}`;
      recall = hit / positives;
    }
    drawing("live-precision-recall").querySelector(".curve").setAttribute("d", path);
  };

  const mark = (name, across, up) => {
    const dot = drawing(name).querySelector(".marker");
    dot.toggleAttribute("hidden", Number.isNaN(up));
    if (Number.isNaN(up)) return;
    dot.setAttribute("cx", x(across));
    dot.setAttribute("cy", y(up));
  };

  // How the pictures lie along the slider: those of the class above the line, the others below it.
  const heap = () => {
    const bars = 70, width = 700 / bars, height = 38;
    const gather = (bins) => {
      const heaps = new Array(bars).fill(0);
      bins.forEach((number, place) => { heaps[Math.min(bars - 1, Math.floor(place / bins.length * bars))] += number; });
      return heaps;
    };
    const [ours, others] = [gather(sweep.positives), gather(sweep.negatives)];
    const most = Math.sqrt(Math.max(...ours, ...others, 1));
    const draw = (name, heaps, way) => {
      const path = heaps.map((number, place) => {
        const tall = number ? Math.max(2, Math.sqrt(number) / most * height) : 0;
        return tall ? `M${place * width + 1},40v${(way * tall).toFixed(1)}h${width - 2}v${(-way * tall).toFixed(1)}z` : "";
      });
      section.querySelector(name).setAttribute("d", path.join(""));
    };
    draw(".heap path.ours", ours, -1);
    draw(".heap path.others", others, 1);
  };

  const choose = () => {
    sweep = data.sweeps[picker.selectedIndex];
    above = {
      hits: upwards(sweep.positives), alarms: upwards(sweep.negatives),
      positives: total(sweep.positives), negatives: total(sweep.negatives),
    };
    slider.min = sweep.lowest;
    slider.max = sweep.lowest + sweep.positives.length - 2;
    slider.value = 0;
    fill("class", sweep.label);
    fill("other", two ? data.labels.find((label) => label !== sweep.label) : "other classes");
    curves();
    heap();
    show();
  };

  // An aim is above 0 and below 1: at either end there is none to state.
  const state = (recall) => {
    const aim = Math.floor(recall * 1000) / 1000, none = !(aim > 0 && aim < 1);
    find("aim").hidden = none;
    find("no-aim").hidden = !none;
    fill("no-aim", aim >= 1 ? "All are found here, and no aim below 1 says so: move the slider, or state 0.99."
      : "So few are found here that there is no aim to state: move the slider towards more.");
    fill("command", none ? "" : `--min-recall ${plain(quoted(sweep.label + "=" + aim))}`);
    const key = /^[\w-]+$/.test(sweep.label) ? sweep.label : JSON.stringify(sweep.label);
    fill("toml", none ? "" : `min_recall = { ${plain(key)} = ${aim} }`);
  };

  const show = () => {
    const stop = Number(slider.value), place = stop - sweep.lowest;
    const hits = above.hits[place], alarms = above.alarms[place];
    const missed = above.positives - hits, quiet = above.negatives - alarms;
    const odds = sweep.own + stop * step, precision = hits / (hits + alarms);
    const level = two ? short(1 / (1 + Math.exp(-odds))) : (Math.exp(odds)).toPrecision(2) * 1 + "\u00d7";
    fill("level", level);
    fill("hits", count(hits));
    fill("missed", count(missed));
    fill("alarms", count(alarms));
    fill("quiet", count(quiet));
    fill("positives", count(above.positives));
    fill("negatives", count(above.negatives));
    fill("recall", percent(hits / above.positives));
    fill("recall-between", between(hits, above.positives));
    fill("false", percent(alarms / above.negatives));
    fill("false-between", between(alarms, above.negatives));
    fill("precision", hits + alarms ? percent(precision) : "\u2013");
    fill("precision-between", between(hits, hits + alarms));
    slider.setAttribute("aria-valuetext", `${level}${stop ? "" : ", the model's own"}`);
    find("own").disabled = stop === 0;
    section.querySelector(".heap .at").setAttribute("d", `M${((place + 0.5) / (sweep.positives.length - 1) * 700).toFixed(1)},0V80`);
    mark("live-roc", alarms / above.negatives, hits / above.positives);
    mark("live-precision-recall", hits / above.positives, precision);
    state(hits / above.positives);
    fill("said", `${count(hits)} of ${count(above.positives)} found, ${count(missed)} missed, ${count(alarms)} false.`);
  };

  picker.addEventListener("change", choose);
  slider.addEventListener("input", show);
  find("own").addEventListener("click", () => { slider.value = 0; show(); slider.focus(); });
  section.hidden = false;
  document.querySelectorAll(`[href="#operating-point"]`).forEach((link) => { link.parentElement.hidden = false; });
  choose();
})();
