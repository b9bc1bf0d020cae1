// What a reader of a report can count on, in a real browser. Run by `cargo xtask browser`, which sets
// CHROMIUM (the browser), DICEWISE (the program) and RESULTS (a folder of results with a report).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";

import { launch, open, ready } from "./chromium.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const { DICEWISE, RESULTS } = process.env;
const file = (name) => `${RESULTS}/${name}`;
const address = (name) => pathToFileURL(file(name)).href;
const PAGES = { report: "report/index.html", viewer: "report/viewer.html", explorer: "explorer.html" };
const explain = (...flags) => JSON.parse(execFileSync(DICEWISE, ["explain", "--json", ...flags.map(String)]));
const close = (found, expected, what) =>
  assert.ok(Math.abs(found - expected) <= 1e-6 * Math.abs(expected), `${what}: ${found} in the page, ${expected} in Rust`);

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

async function serious(page) {
  // Playwright evaluates past the page's policy, so the page itself stays as strict as it is.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return violations.filter((v) => ["serious", "critical"].includes(v.impact))
    .map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120)).join(" | ")}`);
}

for (const scheme of ["light", "dark"]) {
  for (const width of [360, 1440]) {
    test(`all pages are quiet, accessible and fit, ${scheme}, ${width} px`, async () => {
      for (const [name, path] of Object.entries(PAGES)) {
        const { page, faults, close } = await open(browser, address(path), { width, scheme });
        await ready(page, name === "viewer" ? "viewer" : "explorer");
        assert.deepEqual(await serious(page), [], name);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(overflow <= 0, `${name} is ${overflow} px wider than the window`);
        const colour = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        const bright = colour.match(/\d+/g).slice(0, 3).every((channel) => Number(channel) > 127);
        assert.equal(bright, scheme === "light", `${name} is ${colour}`);
        assert.deepEqual(faults, [], name);
        await close();
      }
    });
  }
}

test("the report has its tables and figures, every figure has its files, and it is small", async (t) => {
  const size = statSync(file(PAGES.report)).size + statSync(file(PAGES.viewer)).size;
  assert.ok(size < 5e6);
  const { page, faults, close } = await open(browser, address(PAGES.report));
  const loaded = await page.evaluate(() => performance.getEntriesByType("navigation")[0].loadEventEnd);
  t.diagnostic(`report and viewer have ${(size / 1e6).toFixed(2)} MB; the report is open after ${loaded.toFixed(0)} ms`);
  for (const id of ["verdicts", "table1", "boxes", "roc", "cases", "training", "explorer", "run"]) {
    assert.equal(await page.locator(`h2#${id}`).count(), 1, id);
  }
  assert.equal(await page.locator(".table1 tbody tr").count(), 3);
  assert.ok((await page.locator(".verdicts li").count()) === 6, "a verdict for every partial cell");
  for (const name of ["dsc_tumour", "volume_difference_tumour", "roc_tumour", "training_loss", "training_map_loss", "training_gradient"]) {
    const figure = page.locator(`#figure-${name}`);
    const box = await figure.locator("svg").first().boundingBox();
    assert.ok(box.width > 200 && box.height > 150, `${name} is ${box.width} × ${box.height}`);
    assert.ok((await figure.locator("svg polyline, svg rect").count()) > 10, name);
  }
  // The links of all figures lead to files.
  const links = await page.locator("figcaption a").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
  assert.ok(links.length > 30);
  for (const link of links) assert.ok(statSync(file(`report/${link}`)).size > 0, link);
  assert.deepEqual(faults, []);
  await close();
});

test("pictures and tables are there without JavaScript", async () => {
  const { page, close } = await open(browser, address(PAGES.report), { javaScript: false });
  assert.ok(await page.locator("#figure-dsc_tumour svg").isVisible());
  assert.ok(await page.getByText("What packages ship").isVisible());
  assert.ok(!(await page.locator("#explorer-form").isVisible()));
  await close();
});

test("the explorer says what Rust says", async () => {
  const { page, close: done } = await open(browser, address(PAGES.explorer));
  await ready(page, "explorer");
  const asked = [
    [0, "I", 1e-5, 2, 3, 4096, 400], [2, "BI", 1e-5, 2, 3, 4096, 400], [2, "BI", 1e-5, 1, 3, 4096, 400],
    [0, "I", 400, 2, 3, 4096, 400], [1, "CI", 1, 4, 2, 100000, 50], [3, "BCI", 1e-7, 3, 5, 262144, 4000],
    [0, "I", 30, 2, 1, 262144, 4000],
  ];
  const words = { ignores: "ignores", in_between: "in between", learns: "learns" };
  const verdicts = new Set();
  for (const [partition, symbol, epsilon, batch, classes, voxels, object] of asked) {
    const rust = explain("--partition", symbol, "--epsilon", epsilon, "--batch-size", batch, "--classes", classes, "--voxels", voxels, "--object", object);
    await page.locator(`input[name=partition][value="${partition}"]`).check();
    await page.evaluate(([values]) => {
      for (const [name, value] of Object.entries(values)) window.dicewiseExplorer.set(name, value);
    }, [{ classes, voxels, object, batch, epsilon, overlap: 1 / Math.max(classes, 2), mass: voxels / Math.max(classes, 2) }]);
    const cell = (name) => page.locator(`#explorer-${name}`).evaluate((e) => Number(e.dataset.value));
    const what = `${symbol}, ε = ${epsilon}, B = ${batch}, C = ${classes}`;
    close(await cell("present_inside"), rust.derivative.present.inside, `${what}, inside`);
    close(await cell("present_outside"), rust.derivative.present.outside, `${what}, outside`);
    close(await cell("empty"), rust.derivative.empty, `${what}, empty`);
    close(await cell("missing"), rust.derivative.missing, `${what}, missing`);
    close(await cell("push_on_empty"), rust.push_on_empty, `${what}, push`);
    const verdict = await page.locator("#explorer-answer").getAttribute("data-verdict");
    assert.equal(verdict, words[rust.on_empty], what);
    verdicts.add(verdict);
  }
  assert.equal(verdicts.size, 3, "the questions have all three answers");
  await done();
});

test("every loss as shipped says what Rust says", async () => {
  const { page, close: done } = await open(browser, address(PAGES.explorer));
  await ready(page, "explorer");
  const names = await page.locator("#preset option").evaluateAll((all) => all.map((o) => o.value).filter((v) => v !== "custom"));
  assert.equal(names.length, 14);
  for (const name of names) {
    const rust = explain(name);
    await page.locator("#preset").selectOption(name);
    for (const quantity of ["empty", "missing"]) {
      const found = await page.locator(`#explorer-${quantity}`).evaluate((e) => Number(e.dataset.value));
      close(found, rust.derivative[quantity], `${name}, ${quantity}`);
    }
  }
  await done();
});

test("keys move the sliders, and the verdict changes", async () => {
  const { page, faults, close } = await open(browser, address(PAGES.explorer));
  await ready(page, "explorer");
  const verdict = () => page.locator("#explorer-answer").getAttribute("data-verdict");
  assert.equal(await verdict(), "ignores");
  await page.locator("#epsilon").focus();
  await page.keyboard.press("End");
  assert.equal(await verdict(), "learns");
  assert.equal(await page.locator("#preset").inputValue(), "custom");
  await page.keyboard.press("Home");
  assert.equal(await verdict(), "ignores");
  // With BI the batch decides.
  await page.locator('input[name=partition][value="2"]').focus();
  await page.keyboard.press("Space");
  assert.equal(await verdict(), "learns");
  await page.locator("#batch").focus();
  await page.keyboard.press("Home");
  assert.equal(await verdict(), "ignores");
  // The heuristic's button, by keyboard: ε becomes v̂.
  await page.locator("#explorer-heuristic").focus();
  await page.keyboard.press("Enter");
  assert.match(await page.locator("#epsilon-value").textContent(), /^400 voxels/);
  // Every control has a name.
  const unnamed = await page.locator("#explorer-form input, #explorer-form select").evaluateAll(
    (all) => all.filter((e) => !e.labels.length).map((e) => e.name));
  assert.deepEqual(unnamed, []);
  // Refused combinations say why instead of showing a number.
  await page.evaluate(() => window.dicewiseExplorer.set("object", 5000));
  assert.match(await page.locator("#explorer-answer").textContent(), /do not fit/);
  assert.deepEqual(faults, []);
  await close();
});

test("Eq. 5's solutions are marked where they are", async () => {
  const { page, close: done } = await open(browser, address(PAGES.explorer));
  await ready(page, "explorer");
  const at = async (overlap, mass) => {
    await page.evaluate(([o, m]) => { window.dicewiseExplorer.set("overlap", o); window.dicewiseExplorer.set("mass", m); }, [overlap, mass]);
    return JSON.parse(await page.locator("#explorer-chart").getAttribute("data-solutions"));
  };
  // v̂ = 400, I = 4096: a = ½ and b = (400 + 200 + m (4096 − 400)/4096)/400 = 2.5, so k = 2a/b² = 0.16 and
  // ε/v̂ = ((1 − 2k) ± √(1 − 4k))/(2k) = (0.68 ± 0.6)/0.32 = 0.25 and 4.
  const [low, high] = await at(0.5, (400 * 4096) / 3696);
  close(low, 100, "small solution");
  close(high, 1600, "large solution");
  // Nearly perfect: no ε pushes as hard.
  assert.deepEqual(await at(0.95, 1), [null, null]);
  await done();
});

/** How many different colours the canvas shows. */
async function colours(page) {
  const shot = await page.locator("#viewer-canvas").screenshot();
  return page.evaluate(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    return new Set(pixels).size;
  }, shot.toString("base64"));
}

test("the viewer draws every case, and the choice of network changes the picture", async () => {
  const { page, faults, close } = await open(browser, address(PAGES.viewer));
  await ready(page, "viewer");
  await page.waitForTimeout(500);
  assert.ok((await colours(page)) > 200, "the canvas is blank");
  const picture = () => page.locator("#viewer-canvas").screenshot();
  const choose = async (id, value) => {
    await page.locator(id).selectOption(value);
    await page.waitForTimeout(1500);
    await ready(page, "viewer");
  };
  await choose("#viewer-truth", "0");
  await choose("#viewer-prediction", "-1");
  const without = await picture();
  await choose("#viewer-prediction", "0");
  assert.notDeepEqual(await picture(), without, "a prediction leaves no trace");
  const cases = await page.locator("#viewer-case option").count();
  assert.equal(cases, 6);
  await choose("#viewer-case", String(cases - 1));
  assert.match(await page.locator("#viewer-state").textContent(), /HGG/);
  assert.deepEqual(faults, []);
  await close();
});

test("one file holds everything", async () => {
  const { page, faults, close } = await open(browser, address("single.html"));
  await ready(page, "explorer");
  await ready(page, "viewer");
  await page.locator("#viewer-canvas").scrollIntoViewIfNeeded();
  await page.waitForTimeout(500);
  assert.ok((await colours(page)) > 200, "the canvas is blank");
  assert.ok(statSync(file("single.html")).size < 5e6);
  assert.deepEqual(faults, []);
  await close();
});
