// The explorer: sliders in, numbers of the Rust core out. No mathematics of the loss is written here: every derivative
// and verdict comes from dicewise compiled to WebAssembly.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("explorer-data").textContent);
  const form = byId("explorer-form");
  const words = ["ignores", "in between", "learns"];
  const classes = ["ignores", "between", "learns"];
  let rust;

  const bytes = Uint8Array.from(atob(data.wasm), (c) => c.charCodeAt(0));
  WebAssembly.instantiate(bytes, {}).then(({ instance }) => {
    rust = instance.exports;
    form.hidden = false;
    byId("explorer-results").hidden = false;
    byId("explorer-waiting").hidden = true;
    restore(data.initial);
    document.documentElement.dataset.explorer = "ready";
  });

  const shown = (value) => {
    if (value === 0) return "0";
    const size = Math.abs(value);
    const text = size >= 1e-3 && size < 1e6 ? String(Number(value.toPrecision(4))) : Number(value.toPrecision(3)).toExponential();
    return text.replace("e+", "e").replace(/-/g, "−");
  };

  // Every slider by name: its number, from its position.
  const power = (position) => 10 ** position;
  const sliders = {
    epsilon: power, object: power, voxels: (x) => Math.round(power(x)), mass: power,
    batch: Math.round, classes: Math.round, overlap: (x) => x / 100,
  };
  const input = (name) => form.elements[name];
  // A slider shows a rounded position; the number it was set to is kept until somebody moves it.
  const exact = {};
  const number = (name) => (name in exact ? exact[name] : sliders[name](Number(input(name).value)));
  const set = (name, value) => {
    exact[name] = value;
    const inverse = { overlap: (v) => v * 100, batch: (v) => v, classes: (v) => v };
    input(name).value = (inverse[name] || ((v) => Math.log10(Math.max(v, 1e-12))))(value);
  };

  const state = () => ({
    preset: input("preset").value, partition: Number(form.elements.partition.value),
    missing: Number(input("missing").value), foreground: input("foreground").checked ? 1 : 0,
    denominatorOnly: input("where").value === "denominator",
    epsilon: number("epsilon"), batch: number("batch"), classes: number("classes"), voxels: number("voxels"),
    object: number("object"), overlap: number("overlap"), mass: number("mass"),
  });

  const quantities = data.quantities;
  const ask = (s, quantity, epsilon = s.epsilon) => {
    const which = quantities.indexOf(quantity);
    const outside = s.mass / s.voxels;
    const preset = data.presets[s.preset];
    if (preset && preset.special) {
      return rust.dicewise_explain_preset(which, preset.index, s.batch, s.classes, s.voxels, s.object, s.overlap, outside);
    }
    const numerator = s.denominatorOnly ? 0 : epsilon;
    return rust.dicewise_explain(which, s.partition, numerator, epsilon, s.missing, s.foreground, s.batch, s.classes,
      s.voxels, s.object, s.overlap, outside);
  };

  function update() {
    const s = state();
    const special = data.presets[s.preset] && data.presets[s.preset].special;
    const labels = {
      epsilon: `${shown(s.epsilon)} voxels`, batch: String(s.batch), classes: String(s.classes),
      voxels: shown(s.voxels), object: `${shown(s.object)} voxels`, overlap: `${Math.round(s.overlap * 100)} %`,
      mass: `${shown(s.mass)} voxels`,
    };
    for (const [name, text] of Object.entries(labels)) {
      byId(`${name}-value`).textContent = text;
      input(name).setAttribute("aria-valuetext", text);
    }
    const result = Object.fromEntries(quantities.map((name) => [name, ask(s, name)]));
    const answer = byId("explorer-answer");
    answer.classList.remove(...classes);
    const refused = Number.isNaN(result.push_on_empty);
    for (const name of quantities) {
      const cell = byId(`explorer-${name}`);
      // Seventeen digits for whoever reads the number from the page, four for people.
      if (cell) { cell.textContent = refused ? "–" : shown(result[name]); cell.dataset.value = result[name]; }
    }
    if (refused) {
      const objects = Math.max(s.classes - 1, 1);
      const why = objects * s.object >= s.voxels ? "the objects do not fit into the image: lower v̂ or raise its voxels"
        : s.mass > s.voxels ? "more is predicted than there are voxels: lower the predicted mass"
        : "this combination is refused (marginal treatment needs a background class and Φ without mixed classes; leaving the background out needs two classes)";
      answer.textContent = `No answer: ${why}.`;
      byId("explorer-missing-word").textContent = "";
      return draw(s, true);
    }
    const verdict = result.on_empty;
    answer.classList.add(classes[verdict]);
    answer.dataset.verdict = words[verdict];
    const name = special ? data.presets[s.preset].label : ["I", "CI", "BI", "BCI"][s.partition];
    const setting = special ? name : `${name} with ε = ${shown(s.epsilon)}`;
    const does = ["ignores an empty map.", "is in between.", "learns that an empty map is empty."][verdict];
    answer.replaceChildren(`${setting}, B = ${s.batch}: `, element("b", does), element("small",
      `A voxel of an empty map is pushed towards 0 with ${shown(result.push_on_empty)} times the force on known background ` +
      `(below ${shown(data.ignoresBelow)}: ignores; from ${shown(data.learnsFrom)}: learns).`));
    byId("explorer-missing-word").textContent = words[result.on_missing] + (result.missing_is_background ? " (treated as background)" : "");
    byId("explorer-empty-word").textContent = words[verdict];
    draw(s, special);
  }

  const element = (tag, text) => { const e = document.createElement(tag); e.textContent = text; return e; };

  // --- the chart: derivative over ε, both axes logarithmic -----------------------------------------------------------
  const W = 680, H = 340, L = 74, R = 14, T = 34, B = 48;
  const chart = byId("explorer-chart");
  const svg = (tag, attributes, text) => {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    if (text !== undefined) e.textContent = text;
    chart.appendChild(e);
    return e;
  };
  const superscript = (n) => String(n).replace("-", "⁻").replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);

  function draw(s, unavailable) {
    chart.replaceChildren();
    const note = byId("explorer-note");
    if (unavailable) {
      note.textContent = "No curve over ε for this choice.";
      svg("text", { x: W / 2, y: H / 2, "text-anchor": "middle", fill: "currentColor", "font-size": 15 }, "no curve over ε");
      return;
    }
    const [from, to] = [-10, 8];
    const steps = 216;
    const epsilons = Array.from({ length: steps + 1 }, (_, i) => 10 ** (from + ((to - from) * i) / steps));
    const curve = (quantity) => epsilons.map((e) => [Math.log10(e), Math.abs(ask(s, quantity, e))]);
    const empty = curve("empty"), present = curve("present_outside");
    const values = [...empty, ...present].map((p) => p[1]).filter((v) => v > 0 && Number.isFinite(v));
    const top = Math.ceil(Math.log10(Math.max(...values)) + 0.9);
    const bottom = Math.max(Math.floor(Math.log10(Math.min(...values))), top - 12);
    const x = (log) => L + ((log - from) / (to - from)) * (W - L - R);
    const y = (value) => H - B - ((Math.max(Math.log10(value), bottom) - bottom) / (top - bottom)) * (H - T - B);
    const every = Math.ceil((top - bottom) / 6);
    for (let p = bottom; p <= top; p += every) {
      svg("line", { x1: L, x2: W - R, y1: y(10 ** p), y2: y(10 ** p), stroke: "currentColor", "stroke-opacity": 0.16 });
      svg("text", { x: L - 8, y: y(10 ** p) + 5, "text-anchor": "end", fill: "currentColor", "font-size": 13 }, `10${superscript(p)}`);
    }
    for (let p = from; p <= to; p += 2) {
      svg("line", { x1: x(p), x2: x(p), y1: T, y2: H - B, stroke: "currentColor", "stroke-opacity": 0.16 });
      svg("text", { x: x(p), y: H - B + 18, "text-anchor": "middle", fill: "currentColor", "font-size": 13 }, `10${superscript(p)}`);
    }
    svg("text", { x: (L + W - R) / 2, y: H - 8, "text-anchor": "middle", fill: "currentColor", "font-size": 14 }, "ε (voxels)");
    svg("text", { x: 16, y: (T + H - B) / 2, "text-anchor": "middle", fill: "currentColor", "font-size": 14,
      transform: `rotate(-90 16 ${(T + H - B) / 2})` }, "∂L/∂p (1/voxel)");
    const mark = (epsilon, text, dash, row) => {
      const at = x(Math.min(Math.max(Math.log10(epsilon), from), to));
      svg("line", { x1: at, x2: at, y1: T, y2: H - B, stroke: "currentColor", "stroke-width": 1.3, "stroke-dasharray": dash });
      const end = at > W - 150;
      svg("text", { x: at + (end ? -5 : 5), y: T + 12 + 15 * row, "text-anchor": end ? "end" : "start", fill: "currentColor", "font-size": 12.5 }, text);
    };
    mark(s.object, "ε = v̂", "6 3", 0);
    const outside = s.mass / s.voxels;
    const union = (s.object + s.overlap * s.object + outside * (s.voxels - s.object)) / s.object;
    const solutions = [0, 1].map((large) => rust.dicewise_solve_epsilon(large, s.object, s.overlap, union));
    chart.dataset.solutions = JSON.stringify(solutions.map((v) => (Number.isNaN(v) ? null : v)));
    if (!Number.isNaN(solutions[0])) {
      mark(solutions[0], "Eq. 5", "2 3", 2);
      if (solutions[1] !== solutions[0]) mark(solutions[1], "Eq. 5", "2 3", 2);
    }
    const line = (points, colour, dash) => svg("polyline", {
      points: points.filter((p) => p[1] > 0).map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" "),
      fill: "none", stroke: colour, "stroke-width": 2.6, ...(dash ? { "stroke-dasharray": dash } : {}),
    });
    // The dashed line on top: where both agree, both can be seen.
    line(empty, "#d55e00");
    line(present, "#0072b2", "8 4");
    const legend = (at, colour, text, dash) => {
      svg("line", { x1: at, x2: at + 30, y1: 14, y2: 14, stroke: colour, "stroke-width": 2.6, ...(dash ? { "stroke-dasharray": dash } : {}) });
      svg("text", { x: at + 37, y: 19, fill: "currentColor", "font-size": 14 }, text);
    };
    legend(L, "#d55e00", "empty map");
    legend(L + 150, "#0072b2", "known background (y = 0 on a present map)", "8 4");
    const now = Math.abs(ask(s, "empty"));
    if (now > 0) {
      const at = Math.min(Math.max(Math.log10(s.epsilon), from), to);
      svg("circle", { cx: x(at), cy: y(now), r: 6, fill: "#d55e00", stroke: "currentColor", "stroke-width": 1.5 });
    }
    note.textContent = Number.isNaN(solutions[0])
      ? `Eq. 5 has no solution here (overlap ${shown(s.overlap)} v̂, union ${shown(union)} v̂): no ε pushes an empty map of image-wise Dice as hard as batch-wise Dice does; ε = v̂ comes closest.`
      : `Eq. 5 (overlap ${shown(s.overlap)} v̂, union ${shown(union)} v̂): ε = ${shown(solutions[0])} and ε = ${shown(solutions[1])} push an empty map of image-wise Dice as hard as batch-wise Dice with B → ∞, where v̂ voxels are predicted on it.`;
  }

  // --- what moves ----------------------------------------------------------------------------------------------------
  function choose(name) {
    const preset = data.presets[name];
    if (!preset) return;
    if (!preset.special) {
      form.elements.partition.value = String(preset.partition);
      input("missing").value = String(preset.missing);
      input("foreground").checked = preset.foreground === 1;
      input("where").value = preset.denominatorOnly ? "denominator" : "both";
      set("epsilon", preset.epsilon === "object" ? number("object") : preset.epsilon);
    }
  }
  function restore(initial) {
    for (const name of ["classes", "voxels", "object", "batch", "overlap", "mass"]) set(name, initial[name]);
    input("preset").value = initial.preset;
    if (data.presets[initial.preset]) choose(initial.preset);
    else {
      form.elements.partition.value = String(initial.partition);
      set("epsilon", initial.epsilon);
    }
    update();
  }
  form.addEventListener("input", (event) => {
    const name = event.target.name;
    delete exact[name];
    if (name === "preset") choose(event.target.value);
    else if (["partition", "epsilon", "missing", "foreground", "where"].includes(name)) input("preset").value = "custom";
    else if (name === "object" && data.presets[input("preset").value]?.epsilon === "object") set("epsilon", number("object"));
    update();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("explorer-heuristic").addEventListener("click", () => {
    set("epsilon", number("object"));
    input("preset").value = "custom";
    update();
  });
  byId("explorer-uninformed").addEventListener("click", () => {
    const c = number("classes") === 1 ? 2 : number("classes");
    set("overlap", 1 / c);
    set("mass", number("voxels") / c);
    update();
  });
  // For scripts and tests: every number at full precision.
  window.dicewiseExplorer = { state, ask: (quantity) => ask(state(), quantity), set: (name, value) => { set(name, value); update(); } };
})();
