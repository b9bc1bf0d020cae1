// The viewer: NiiVue on volumes that the page carries. Nothing is fetched.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const { cases } = JSON.parse(byId("viewer-data").textContent);
  const state = byId("viewer-state");
  const root = document.documentElement;
  for (const [i, c] of cases.entries()) byId("viewer-case").add(new Option(c.name, i));

  let nv;
  const say = (text, ready) => { state.textContent = text; root.dataset.viewer = ready ? "ready" : "busy"; };

  function fillPredictions() {
    const select = byId("viewer-prediction");
    const before = select.value;
    select.replaceChildren(new Option("none", "-1"));
    cases[byId("viewer-case").value].predictions.forEach((p, i) => select.add(new Option(p.name, i)));
    select.value = [...select.options].some((o) => o.value === before) ? before : String(cases[byId("viewer-case").value].predictions.length - 1);
  }

  // Loads one after the other: a choice made meanwhile is shown when its turn comes.
  let turn = Promise.resolve();
  const show = () => { turn = turn.then(load).catch(fail); return turn; };
  const fail = (error) => { say(`The viewer cannot draw here: ${error.message || error}. The pictures of the report show the same cases.`); root.dataset.viewer = "failed"; };

  async function load() {
    say("drawing");
    const chosen = cases[byId("viewer-case").value];
    const opacity = Number(byId("viewer-opacity").value) / 100;
    const volume = (base64, name, colormap, more) => niivue.NVImage.loadFromBase64({ base64, name: `${name}.nii.gz`, colormap, ...more });
    const mask = { cal_min: 0.5, cal_max: 1, opacity };
    const volumes = [await volume(chosen.image, "image", "gray", {})];
    if (byId("viewer-truth").value === "1") volumes.push(await volume(chosen.truth, "truth", "truth", mask));
    const prediction = chosen.predictions[byId("viewer-prediction").value];
    if (prediction) volumes.push(await volume(prediction.data, "prediction", "prediction", mask));
    while (nv.volumes.length) nv.removeVolume(nv.volumes[nv.volumes.length - 1]);
    for (const v of volumes) nv.addVolume(v);
    nv.setSliceType(Number(byId("viewer-view").value));
    nv.drawScene();
    say(`${chosen.name}; prediction: ${prediction ? prediction.name : "none"}. Drag to move, scroll to change the slice; with the picture focused, the arrow keys turn the 3-D view.`, true);
  }

  async function start() {
    if (!cases.length) return say("No images were kept with these results.");
    nv = new niivue.Niivue({
      isResizeCanvas: true, show3Dcrosshair: true, backColor: [0, 0, 0, 1], crosshairColor: [0.9, 0.9, 0.9, 0.8],
      dragAndDropEnabled: false, multiplanarShowRender: niivue.SHOW_RENDER.ALWAYS, isColorbar: false,
      multiplanarLayout: 2, isNearestInterpolation: true, crosshairWidth: 0.4, multiplanarPadPixels: 4,
    });
    // Sky blue and orange of Okabe and Ito, as in the figures.
    const flat = ([R, G, B]) => ({ R: [R, R], G: [G, G], B: [B, B], A: [0, 255], I: [0, 255] });
    nv.addColormap("truth", flat([86, 180, 233]));
    nv.addColormap("prediction", flat([230, 159, 0]));
    await nv.attachToCanvas(byId("viewer-canvas"));
    fillPredictions();
    await show();
  }

  byId("viewer-case").addEventListener("change", () => { fillPredictions(); show(); });
  for (const id of ["viewer-prediction", "viewer-truth"]) byId(id).addEventListener("change", show);
  byId("viewer-view").addEventListener("change", () => { nv.setSliceType(Number(byId("viewer-view").value)); });
  byId("viewer-opacity").addEventListener("input", () => {
    nv.volumes.slice(1).forEach((_, i) => nv.setOpacity(i + 1, Number(byId("viewer-opacity").value) / 100));
  });
  start().catch(fail);
})();
